"""The arithmetic of output sizes, against counted windows, the layers themselves, and as a command."""

import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinycnn
from tinycnn import nn
from tinycnn.diagnostics import shapes
from tinycnn.diagnostics.shapes import output_size
from tinycnn.teaching import reference

INTS = {name: st.integers(1, 4) for name in ("kernel_size", "stride", "dilation")}
geometries = st.fixed_dictionaries({"input_size": st.integers(1, 20), "padding": st.integers(0, 4), **INTS})


@given(geometries)
def test_it_is_the_number_of_windows_that_fit(geometry):
    size, kernel, stride, padding, dilation = (
        geometry[name] for name in ("input_size", "kernel_size", "stride", "padding", "dilation")
    )
    padded = range(size + 2 * padding)
    fitting = [start for start in padded[::stride] if start + dilation * (kernel - 1) in padded]
    assume(fitting)
    assert output_size(**geometry) == len(fitting)


@given(geometries)
def test_ceil_mode_is_that_of_the_loops(geometry):
    geometry["padding"] = min(geometry["padding"], geometry["kernel_size"] // 2)
    size, kernel, dilation = geometry["input_size"], geometry["kernel_size"], geometry["dilation"]
    assume(dilation * (kernel - 1) < size + 2 * geometry["padding"])
    expected = reference.pool_output_size(size, kernel, geometry["stride"], geometry["padding"], dilation, True)
    assert output_size(**geometry, ceil_mode=True) == expected


@given(geometries, st.integers(0, 3))
def test_a_transposed_convolution_goes_the_other_way(geometry, output_padding):
    assume(output_padding < geometry["stride"])
    size = geometry.pop("input_size")
    larger = dict(geometry, input_size=size)
    try:
        result = output_size(**larger, transposed=True, output_padding=output_padding)
    except ValueError:
        assume(False)
    assert output_size(input_size=result, **geometry) == size
    layer = nn.ConvTranspose1d(1, 1, output_padding=output_padding, **geometry)
    assert layer(tinycnn.zeros(1, 1, size)).shape == (1, 1, result)


def test_every_dimension_has_its_own():
    layer = nn.Conv3d(1, 1, (1, 2, 3), stride=(1, 2, 3), padding=(0, 1, 2), dilation=(3, 2, 1))
    found = output_size((4, 7, 11), (1, 2, 3), (1, 2, 3), (0, 1, 2), (3, 2, 1))
    assert found == layer(tinycnn.zeros(1, 1, 4, 7, 11)).shape[2:]
    assert output_size((28, 28), 5) == (24, 24)


def test_narrow_same_and_wide_convolution():
    size, kernel = 10, 4
    for word in ("valid", "narrow"):
        assert output_size(size, kernel, padding=word) == size - kernel + 1
    assert output_size(size, kernel, padding="same") == size
    for word in ("full", "wide"):
        assert output_size(size, kernel, padding=word) == size + kernel - 1
    assert output_size(size, kernel, padding="full", dilation=3) == size + 3 * (kernel - 1)


@pytest.mark.parametrize("arguments, options, error", [
    ((5, 6), {}, r"kernel \(6,\) with dilation \(1,\) spans \(6,\), more than the padded input \(5,\)"),
    ((5, 3), {"padding": "reflect"}, "padding as ints or one of valid, narrow, same, full, wide, got 'reflect'"),
    ((5, 3, 2), {"padding": "same"}, r"padding='same' needs stride 1, got stride \(2,\)"),
    (((5, 5), (3, 3, 3)), {}, "kernel_size as one int or 2, got 3"),
    ((5, 3, 0), {}, "stride of at least 1, got 0"),
    ((5, 2.0), {}, "kernel_size as an int, got 2.0"),
    ((5, 3), {"transposed": True, "output_padding": 1}, "output_padding smaller than stride"),
    ((1, 1), {"transposed": True, "padding": 1}, r"give an output of \(-1,\)"),
])  # fmt: skip
def test_what_is_refused(arguments, options, error):
    with pytest.raises((ValueError, TypeError), match=f"^output_size: .*{error}"):
        output_size(*arguments, **options)


# --- the command --------------------------------------------------------------------------------------------


def lines(capsys, command):
    assert shapes.main(command.split()) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return [line.split(maxsplit=1) for line in out.splitlines() if line]


def test_a_convolution(capsys):
    assert lines(capsys, "conv --input 28 28 --kernel 5 --padding 2 --channels 1 6") == [
        ["input", "(N, 1, 28, 28)  784 numbers per sample"],
        ["output", "(N, 6, 28, 28)  4,704 numbers per sample: 18.4 KiB in float32"],
        ["parameters", "156             weights 150, biases 6"],
        ["multiply-adds", "117,600         per sample, including those with padding"],
        ["H:", "⌊(28 + 2 + 2 − 1·(5 − 1) − 1) / 1⌋ + 1 = 28"],
        ["W:", "⌊(28 + 2 + 2 − 1·(5 − 1) − 1) / 1⌋ + 1 = 28"],
    ]


@pytest.mark.parametrize("command, layer, shape", [
    ("conv --input 9 --kernel 3 --stride 2 --channels 4 6 --groups 2 --no-bias",
     nn.Conv1d(4, 6, 3, 2, groups=2, bias=False), (1, 4, 9)),
    ("conv --input 4 5 6 --kernel 1 2 3 --padding same --channels 2 3", nn.Conv3d(2, 3, (1, 2, 3), padding="same"),
     (1, 2, 4, 5, 6)),
    ("conv-transpose --input 5 6 --kernel 3 --stride 2 --padding 1 --output-padding 1 --channels 4 6 --groups 2",
     nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (1, 4, 5, 6)),
])  # fmt: skip
def test_the_command_agrees_with_the_layer(command, layer, shape, capsys):
    found = {name: rest.split("  ")[0] for name, rest in lines(capsys, command)}
    total = tinycnn.summary(layer, shape, show=False)
    assert found["output"] == str(total.layers[0].output_shapes[0]).replace("(1,", "(N,")
    assert found["parameters"] == f"{total.parameters:,}"
    assert found["multiply-adds"] == f"{total.multiply_adds:,}"


def test_a_pooling_with_ceil_mode(capsys):
    found = lines(capsys, "pool --input 5 --kernel 2 --stride 3 --padding 1 --ceil-mode --channels 6")
    assert found[1] == ["output", "(N, 6, 2)  12 numbers per sample: 48 B in float32"]
    assert found[2][1].endswith("− 1, as the last window would start beyond the input, = 2")
    assert lines(capsys, "pool --input 28 28 --kernel 2")[1][1].startswith("(N, 1, 14, 14)")


def test_a_transposed_formula_can_be_checked_by_hand(capsys):
    found = lines(capsys, "conv-transpose --input 14 --kernel 3 --stride 2 --padding 1 --output-padding 1")
    assert found[-1] == ["L:", "(14 − 1)·2 + 1·(3 − 1) + 1 − 1 − 1 + 1 = 28"]


@pytest.mark.parametrize("command, error", [
    ("conv --input 28 --kernel 50", "kernel (50,) with dilation (1,) spans (50,), more than the padded input (28,)"),
    ("conv --input 28 --kernel 3 --padding 1 same", "padding: expected ints, got 1 same"),
    ("conv --input 28 --kernel 3 --padding edge", "expected padding as ints or one of valid, narrow, same, full, wide"),
    ("conv --input 9 9 9 9 --kernel 3", "input: expected 1 to 3 sizes, got 4"),
    ("conv --input 9 --kernel 3 --channels 3 4 --groups 2", "groups: 2 does not divide both numbers of channels"),
    ("pool --input 9 --kernel 3 --padding 2", "padding: expected at most half the kernel size (3,), got 2"),
    ("pool --input 9 --kernel 3 --padding same", "padding: expected ints, got same"),
    ("conv --input 9", "the following arguments are required: --kernel; --help shows the options"),
    ("dense --input 9", "invalid choice: 'dense'"),
])  # fmt: skip
def test_a_user_error_is_one_line(command, error, capsys):
    try:
        status = shapes.main(command.split())
    except SystemExit as stop:  # argparse's own
        status = stop.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("tinycnn shapes")
    assert error in line


def test_as_a_module(tmp_path):
    command = [sys.executable, "-m", "tinycnn.shapes", "conv", "--input", "28", "28", "--kernel", "5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "(N, 1, 24, 24)" in done.stdout
