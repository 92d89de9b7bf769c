from tinycnn._former_paths import moved

moved(__name__, "tinycnn.backends.mps")
