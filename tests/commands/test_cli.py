"""`tinycnn` itself: its help, its exit statuses, and completion in real shells."""

import re
import shutil
import subprocess
import sys

import pytest

import tinycnn as library
from tests.commands.conftest import REPOSITORY, tinycnn
from tinycnn.cli import COMMANDS, main

OPTIONAL = ["matplotlib", "pydantic", "PIL", "sklearn", "tqdm", "shtab"]


def test_help_names_every_command_with_an_example(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert re.findall(r"^  (\w+)  +\w.*\n +tinycnn (\w+) ", text, re.MULTILINE) == [(name, name) for name in COMMANDS]
    for status in ("0 ", "1 ", "2 ", "130"):
        assert f"\n  {status}" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_examples(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: tinycnn {name}")
    assert re.search(rf"^examples:\n  tinycnn {name} ", text, re.MULTILINE)


def test_examples_are_command_lines_that_parse(monkeypatch):
    """Those of each parser, and those of the overview."""
    import importlib
    import shlex

    for name, command in COMMANDS.items():
        parser = importlib.import_module(command.module).parser()
        examples = [line.strip() for line in parser.epilog.splitlines()[1:]] + [f"tinycnn {command.example}"]
        for example in examples:
            program, called, *words = shlex.split(example)
            assert (program, called) == ("tinycnn", name)
            parser.parse_args(words)


def test_parsers_load_no_optional_library():
    code = (
        "import sys, importlib; from tinycnn.cli import COMMANDS\n"
        "for each in COMMANDS.values(): importlib.import_module(each.module).parser()\n"
        f"print(*sorted(set({OPTIONAL}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "\n")


def test_version_and_unknown_commands(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tinycnn {library.__version__}\n"
    assert main(["trian"]) == 2
    assert capsys.readouterr().err == f"tinycnn: error: no command 'trian'; there are {', '.join(COMMANDS)}\n"
    assert main([]) == 2


# --- completion ---------------------------------------------------------------------------------------------

BASH = """
source ./script
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()
{function}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
COMPLETED = [
    ("tinycnn ''", set(COMMANDS), {"cli"}),
    ("tinycnn ev", {"evaluate"}, {"train"}),
    ("tinycnn predict --a", {"--as-is"}, {"--top"}),
    ("tinycnn shapes ''", {"conv", "conv-transpose", "pool"}, set()),
    ("tinycnn train --precision ''", {"float32", "tf32", "bfloat16", "float16"}, set()),
    ("tinycnn evaluate ru", {"runs"}, {"script"}),
    ("tinycnn --print-completion ''", {"bash", "zsh", "fish"}, set()),
]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """Shell to a folder with its script, and a folder `runs`."""
    pytest.importorskip("shtab", reason="needs shtab: pip install shtab")
    folders = {}
    for shell in ("bash", "zsh", "fish"):
        folder = folders[shell] = tmp_path_factory.mktemp(shell)
        done = tinycnn("--print-completion", shell, cwd=folder)
        assert (done.returncode, done.stderr) == (0, "")
        (folder / "script").write_text(done.stdout)
        (folder / "runs").mkdir()
    return folders


def shell(name, folder, code):
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    done = subprocess.run([name, "-c", code], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize("words, offered, not_offered", COMPLETED)
def test_bash(scripts, words, offered, not_offered):
    function = re.search(r"complete .*-F (\S+)", (scripts["bash"] / "script").read_text())[1]
    found = set(shell("bash", scripts["bash"], BASH.format(words=words, function=function)).split())
    assert offered <= found
    assert not not_offered & found


@pytest.mark.parametrize("words, offered, not_offered", COMPLETED)
def test_fish(scripts, words, offered, not_offered):
    line = words.replace("''", "")
    found = shell("fish", scripts["fish"], f"source script; complete -C '{line}'").splitlines()
    names = {line.split("\t")[0].rstrip("/") for line in found}
    assert offered <= names
    assert not not_offered & names


def test_zsh(scripts):
    """In an interactive shell: what the tabulator key adds to the line."""
    code = """
        zmodload zsh/zpty
        zpty -b inner zsh -f -i
        zpty -w inner 'PS1=; autoload -Uz compinit; compinit -u -D; eval "$(<script)"; echo rea""dy'
        zpty -r inner output '*ready*'
        sleep 1  # until it reads keys
        zpty -w -n inner $'tinycnn ev\\t'
        sleep 1
        zpty -w -n inner $'\\nexit\\n'
        while zpty -r inner output; do print -r -- "$output"; done
    """
    assert "tinycnn evaluate" in shell("zsh", scripts["zsh"], code)


def test_completion_refuses_other_shells(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", "tcsh"])
    assert end.value.code == 2
    assert "argument shell: invalid choice: 'tcsh'" in capsys.readouterr().err


def test_the_page_of_documentation_shows_this_help():
    from tinycnn.cli import usage

    assert usage() in (REPOSITORY / "docs" / "command.md").read_text(encoding="utf-8")
