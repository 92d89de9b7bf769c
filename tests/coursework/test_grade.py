"""The grader as a command: what it survives, what it says, and how it ends."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import COURSEWORK, HERE

import tinycnn.cli
from tinycnn.teaching import reference
from tinycnn.teaching.grade import STEPS, main
from tinycnn.teaching.grade.comparing import difference, same
from tinycnn.teaching.grade.given import GIVEN

SIZE = "def output_size(size, kernel_size, stride=1, padding=0, dilation=1):\n"


def problems(graded):
    return " | ".join(check.problem for check in graded.checks)


@pytest.mark.parametrize("body, expected", [
    ("    while True:\n        pass", "did not return within 0.5 seconds"),
    ("    import os\n    os._exit(0)", "ended the whole process (exit status 0)"),
    ("    import os\n    os.abort()", "ended the whole process"),
    ("    import sys\n    sys.exit(3)", "called sys.exit(3)"),
    ("    raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("    return input()", "EOFError"),
    ("    return 1 / 0", "ZeroDivisionError: division by zero\nstep01_output_size.py, line 2:\nreturn 1 / 0"),
    ("    return output_size(size, kernel_size)", "RecursionError"),
    ("    pass", "got None (is a return missing?)"),
    ("    return 'four'", "got the str 'four'"),
    ("    return {1, 2}", "got a set"),
    ("    return 4.0", "expected the int 1, got the float 4.0"),
    ("    return True", "expected the int 1"),
    ("    return (1, 2)", "a tuple or list of 2"),
    ("    import os\n    os.write(1, b'garbage' * 100)\n    return 0", "got 0, expected 1"),
    ("    raise NotImplementedError", "not written yet (step01_output_size.py, line 2)"),
    ("    return undefined", "NameError: name 'undefined' is not defined"),
])  # fmt: skip
def test_whatever_a_function_does_is_reported(folder, body, expected):
    folder.write(1, SIZE + body + "\n")
    graded = folder.grade(1, timeout=0.5)
    assert expected in problems(graded)
    assert graded.score == 0


@pytest.mark.parametrize("text, expected", [
    ("def output_size(:\n", "cannot be imported: SyntaxError"),
    ("import nonsense\n", "uses nonsense: only NumPy, the standard library and your own steps"),
    ("from tinycnn import reference\n", "ImportError: uses tinycnn: only NumPy, the standard"),
    ("import torch.nn\n", "ImportError: uses torch.nn: only NumPy"),
    ("__import__('tinycnn')\n", "uses tinycnn: only NumPy"),
    ("raise ValueError('no')\n", "cannot be imported: ValueError: no\nstep01_output_size.py, line 1"),
    ("import os\nos._exit(5)\n", "ended the whole process (exit status 5)"),
    ("import sys\nsys.exit()\n", "called sys.exit"),
    ("x = 1\n", "the file has no function output_size"),
    ("output_size = 3\n", "the file has no function output_size"),
    ("def output_size(size):\n    return 1\n", "takes 1 positional argument but 5 were given"),
    ("\0", "cannot be imported"),
])  # fmt: skip
def test_whatever_a_file_holds_is_reported(folder, text, expected):
    folder.write(1, text)
    graded = folder.grade(1)
    assert expected in problems(graded)
    assert graded.score == 0


def test_one_hanging_function_leaves_the_others_their_points(folder):
    folder.change(8, "    return y / (KH * KW)\n", "    while True:\n        pass\n")
    graded = folder.grade(8, timeout=0.5)
    wrong = {check.function for check in graded.checks if check.problem}
    assert wrong == {"avg_pool_forward"}
    assert graded.score == STEPS[7].max_score - 2


def test_what_is_printed_is_shown_and_harms_nothing(folder, capsys):
    folder.change(1, "    extent =", "    print('size', size)\n    extent =")
    assert main([str(folder.path), "--only", "1"]) == 0
    out = capsys.readouterr().out
    assert "| size 4" in out
    assert "more lines" in out


@pytest.mark.slow
@pytest.mark.parametrize("step, old, new", [
    (1, "(size + 2 * padding - extent)", "size + 2 * padding - extent"),
    (4, "l * dilation", "l"), (4, "return columns.reshape", "return columns[:, :, ::-1].reshape"),
    (10, "x > 0", "x >= 0"),
])  # fmt: skip
def test_one_mistake_is_paid_once(folder, capsys, step, old, new):
    """Other steps, and other functions of the same step, get the reference's in the place of the wrong one."""
    folder.change(step, old, new)
    main([str(folder.path), "--seed", "1"])
    out = capsys.readouterr().out
    lost = {line.split()[1] for line in out.splitlines() if line.startswith("  wrong ")}
    assert len(lost) == 1
    assert "goes wrong (no points)" in out or step == 10
    assert float(re.search(r"total: ([\d.]+) of", out)[1]) >= 92


def test_helper_functions_of_ones_own_earlier_steps_are_there(folder):
    """A later step may import from an earlier one what the exercise does not ask for, or everything."""
    folder.write(1, folder.file(1).read_text(encoding="utf-8") + "\n\ndef both(H, W, *a):\n"
                 "    return output_size(H, *a), output_size(W, *a)\n")  # fmt: skip
    folder.change(4, "from step01_output_size import output_size", "from step01_output_size import *")
    folder.change(4, "output_size(H, KH, stride, 0, dilation), output_size(W, KW, stride, 0, dilation)",
                  "both(H, W, KH, stride, 0, dilation)[0], output_size(W, KW, stride, 0, dilation)")  # fmt: skip
    graded = folder.grade(4)
    assert problems(graded).replace(" | ", "") == ""


def test_the_given_steps_are_right(folder):
    """The reference's steps, with which later ones are graded, graded as a submission."""
    for number in range(1, 10):
        shutil.copyfile(GIVEN / folder.file(number).name, folder.file(number))
        graded = folder.grade(number)
        assert problems(graded).replace(" | ", "") == ""


def test_a_gradient_of_float64_from_float32_costs_that_level_only(folder):
    folder.change(2, "np.zeros((N, O, OH, OW), x.dtype)", "np.zeros((N, O, OH, OW))")
    (check,) = [check for check in folder.grade(2).checks if check.problem]
    assert check.level == "float32"
    assert "float64 comes out where float32 went in" in check.diagnosis


def test_a_step_that_builds_on_a_wrong_one_says_so(folder, capsys):
    folder.change(4, "l * dilation", "l")
    assert main([str(folder.path), "--only", "4", "6", "--seed", "0"]) == 1
    out = capsys.readouterr().out
    assert "with your own step 1 and 4 and 5 instead of the reference's conv_forward, conv_backward goes wrong" in out
    assert "conv_backward: dw, stride, padding, dilation" in out.partition("step  6")[2].partition("wrong")[0]


def test_the_smallest_failing_case_is_shown_with_the_first_wrong_element(folder, capsys):
    folder.change(3, "padding : padding + H, padding : padding + W", ":H, :W")
    assert main([str(folder.path), "--only", "3", "--seed", "0"]) == 1
    out = capsys.readouterr().out
    assert "x (1, 1, 2, 3) = [[" in out
    assert "stride 1, padding 1" in out
    assert "dx[0, 0, 0, 0]: got " in out
    assert "likely: the padding is stripped at the end only" in out
    assert "\x1b" not in out


def test_two_mistakes_at_once_are_both_named(folder):
    folder.change(4, "top, left = k * dilation, l * dilation", "top, left = k, l")
    folder.change(4, "(padding, padding), (padding, padding)", "(0, 2 * padding), (0, 2 * padding)")
    said = " ".join(check.diagnosis for check in folder.grade(4).checks if check.problem)
    assert "the padding is put at the end only" in said
    assert "; and " in said
    assert "the dilation is ignored" in said


def test_a_mistake_that_explains_some_cases_is_named_with_care(folder):
    folder.change(2, "window * w[o]", "window * w[o, :, ::-1, ::-1]")
    folder.change(2, "    return y", "    return y if len(y) < 3 else np.sort(y, axis=None).reshape(y.shape)")
    said = [check.diagnosis for check in folder.grade(2).checks if check.problem]
    assert any(words.startswith("perhaps the kernel is rotated by 180°") for words in said)


@pytest.mark.slow
def test_exercises_as_handed_out_are_all_to_do(capsys):
    assert main([str(COURSEWORK)]) == 1
    out = capsys.readouterr().out
    assert "total: 0 of 100 points" in out
    assert "wrong" not in out


def test_a_missing_step_costs_its_points_only(folder):
    folder.file(2).unlink()
    assert problems(folder.grade(2)).startswith("step02_conv_forward_loops.py is missing")


def test_gradescope_results(folder, tmp_path):
    folder.change(5, "+= columns", "= columns")
    file = tmp_path / "results.json"
    assert main([str(folder.path), "--only", "1", "5", "--seed", "0", "--json", str(file)]) == 1
    results = json.loads(file.read_text(encoding="utf-8"))
    assert results["max_score"] == 13
    assert results["score"] == sum(test["score"] for test in results["tests"]) < 13
    assert "5 of 13" in results["output"]
    failed = [test for test in results["tests"] if test["status"] == "failed"]
    assert {test["name"].split(":")[0] for test in failed} == {"step 5"}
    assert "= instead of +=" in failed[0]["output"]
    assert all(test["max_score"] > 0 and test["output"] for test in results["tests"])


@pytest.mark.parametrize("arguments, expected", [
    (["no/such/folder"], "no/such/folder is not a folder"),
    ([str(HERE.parent / "ops")], "has no exercise: expected files like step01_output_size.py"),
    ([str(COURSEWORK), "--only", "18"], "there are steps 1 to 17, got 18"),
    ([str(COURSEWORK), "--only", "one"], "invalid int value: 'one'"),
    ([str(COURSEWORK), "--timeout", "0"], "--timeout more than 0"),
    ([str(COURSEWORK), "--timeout", "inf"], "--timeout more than 0, at most 86400"),
    ([str(COURSEWORK), "--timeout", "nan"], "--timeout more than 0, at most 86400"),
    ([str(COURSEWORK), "--seed", "-1"], "--seed must be at least 0"),
    ([str(COURSEWORK), "--only", "1", "--json", "/no/such/file"], "cannot write /no/such/file"),
    ([], "the following arguments are required: folder"),
])  # fmt: skip
def test_usage_errors_are_one_line(arguments, expected, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert expected in error
    assert error.count("\n") == 1


def test_seeds_draw_other_numbers():
    exercise = STEPS[1].exercises[0]
    one, two = (exercise.draw(np.random.default_rng(seed)) for seed in (1, 2))
    assert not same(one[0].arguments["x"], two[0].arguments["x"])
    assert one[-1].arguments["x"].shape != two[-1].arguments["x"].shape


def test_the_student_process_knows_no_expected_value(folder):
    """It imports NumPy and the student's file, and nothing of tinycnn."""
    body = "    raise ValueError([m for m in sys.modules if m.partition('.')[0] == 'tinycnn'])\n"
    folder.write(1, "import sys\n\n\n" + SIZE + body)
    assert "ValueError: []" in problems(folder.grade(1))


@pytest.mark.parametrize("command", [["-m", "tinycnn.grade"], ["-m", "tinycnn.cli", "grade"]])
def test_the_command_from_outside(folder, command):
    arguments = [sys.executable, *command, str(folder.path), "--only", "1", "9"]
    done = subprocess.run(arguments, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert "total: 10 of 10 points" in done.stdout


def test_the_dispatcher(capsys):
    assert tinycnn.cli.main([]) == 2
    assert tinycnn.cli.main(["--help"]) == 0
    assert "grade" in capsys.readouterr().out
    assert tinycnn.cli.main(["pool"]) == 2
    assert capsys.readouterr().err.startswith("tinycnn: error: no command 'pool'")
    assert tinycnn.cli.main(["shapes", "conv", "--input", "28", "--kernel", "5"]) == 0


# --- the oracle, against differences and adjoints -----------------------------------------------------------


@pytest.mark.parametrize("function", ["conv_backward_loops", "conv_backward"])
def test_expected_gradients_are_those_of_the_expected_forward(function):
    """⟨y(x + εd) − y(x − εd), g⟩ / 2ε = ⟨d, dx⟩ for random d: convolution is linear in each argument, so exactly."""
    exercise = next(e for step in STEPS for e in step.exercises if e.function == function)
    rng = np.random.default_rng(0)
    for case in exercise.draw(rng):
        g, x, w, b, *geometry = case.arguments.values()
        y = reference.conv_nd(x, w, b, *geometry)
        for i, (a, gradient) in enumerate(zip((x, w, b), exercise.expected(**case.arguments))):
            d = rng.standard_normal(a.shape)
            moved = [x, w, b]
            moved[i] = a + d
            assert np.isclose(((reference.conv_nd(*moved, *geometry) - y) * g).sum(), (d * gradient).sum())


def test_expected_col2im_is_the_adjoint_of_im2col():
    exercise = STEPS[4].exercises[0]
    rng = np.random.default_rng(0)
    for case in exercise.draw(rng):
        columns, (H, W), (KH, KW), *geometry = case.arguments.values()
        x = rng.standard_normal((len(columns), columns.shape[1] // (KH * KW), H, W))
        expected = exercise.expected(**case.arguments)
        assert np.isclose((reference.im2col_loops(x, (KH, KW), *geometry) * columns).sum(), (x * expected).sum())


def test_difference_of_dicts_and_numbers():
    assert difference("p", {"w": np.ones(2)}, {"w": np.ones(2)}) == ""
    assert difference("p", {}, {"w": np.ones(2)}) == "p: w is missing"
    assert difference("p", 3, {"w": np.ones(2)}) == "p: expected a dict, got the int 3"
    assert difference("p", {"w": np.array([1.0, np.nan])}, {"w": np.ones(2)}).startswith("p['w'][1]: got nan")
    assert "expected dtype float64" in difference("y", np.ones(2, np.float32), np.ones(2))
    assert difference("loss", np.float64(2), 2.0) == ""
    assert difference("loss", np.ones(1), 2.0).startswith("loss: expected a number, got an array of shape (1,)")
