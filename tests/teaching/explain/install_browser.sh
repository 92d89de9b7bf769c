#!/usr/bin/env bash
# Chromium from the distribution, for the tests of this folder. Never fails: without it they skip, and say so.
set -uo pipefail

if [ -x /usr/bin/chromium ]; then
  echo "install_browser: /usr/bin/chromium is here"
elif [ "$(id -u)" != 0 ]; then
  echo "install_browser: no /usr/bin/chromium, and only root may install it; tests/teaching/explain will skip"
elif ! command -v apt-get >/dev/null; then
  echo "install_browser: no /usr/bin/chromium and no apt-get; tests/teaching/explain will skip"
else
  echo "install_browser: apt-get install chromium"
  log=$(mktemp)
  if (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium fonts-dejavu-core) \
      >"$log" 2>&1; then
    echo "install_browser: installed $(/usr/bin/chromium --version 2>/dev/null)"
  else
    tail -n 5 "$log"
    echo "install_browser: could not install chromium; tests/teaching/explain will skip"
  fi
  rm -f "$log"
fi
exit 0
