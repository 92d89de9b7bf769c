"""benchmarks/instructions.py counts what the kernels execute: that it reads PTX rightly, and that the figures stay."""

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

import pytest

from tests.gpu import nvrtc

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(os.environ.get("TINYCNN_EMULATE_GPU") != "1", reason="reads the memory of the emulated GPU"),
]

# Instructions an element, from above: (64, 6, 28, 28), float32, packs of four.
LIMITS = {
    "ReLU, gradient": 9,
    "standardizing": 17,
    "standardizing, gradient": 24,
    "max pooling 2 × 2": 55,
    "max pooling 2 × 2, gradient": 32,
    "max pooling 3 × 3, stride 2": 88,
    "max pooling 3 × 3, stride 2, gradient": 44,
    "sums over 7 × 7": 122,
    "sums over 7 × 7, gradient": 30,
    "unfolding 5, stride 1": 26,
    "folding 5, stride 1": 35,
    "unfolding 3, stride 2": 26,
    "folding 3, stride 2": 25,
}


@pytest.fixture
def instructions(monkeypatch):
    try:
        nvrtc.library()
    except ImportError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location("benchmark_of_instructions", ROOT / "benchmarks/instructions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("kernels", None)


def test_every_kernel_takes_packs_within_its_limits(instructions):
    counted = {}
    for case in instructions.kernels.cases(64, 6, 28, "float32"):
        result = []  # what the kernels wrote: the threads that are interpreted would have stored the same
        for found in instructions.launches(lambda case=case, result=result: result.append(case.call()), case.elements):
            counted[case.name] = found.instructions
            assert (found.widest, found.local) == (16, 0)
            assert found.registers <= 48
            stores = [store for thread in found.executed for store in thread.stores]
            assert stores
            for address, content in stores:
                assert ctypes.string_at(address, len(content)) == content
    assert counted.keys() == LIMITS.keys()
    assert {name: number for name, number in counted.items() if number > LIMITS[name]} == {}


PTX = """
.visible .entry sum(
	.param .u64 sum_param_0,
	.param .u32 sum_param_1
)
{
	ld.param.u32 	%r1, [sum_param_1];
	mov.u32 	%r2, 0;
$L__BB0_1:
	add.s32 	%r2, %r2, %r1;
	sub.s32 	%r1, %r1, 1;
	setp.gt.s32 	%p1, %r1, 0;
	@%p1 bra 	$L__BB0_1;
	ld.param.u64 	%rd1, [sum_param_0];
	st.global.u32 	[%rd1+4], %r2;
	ret;
}
"""


def test_a_loop_counts_as_often_as_it_runs(instructions):
    function = instructions.parse(PTX, "sum")
    memory = ctypes.create_string_buffer(8)
    address = ctypes.addressof(memory)
    arguments = [address.to_bytes(8, "little"), (5).to_bytes(4, "little")]
    done = instructions.execute(function, arguments, {})
    assert done.instructions == 4 * 5 + 1
    assert done.accesses == [4]
    assert done.stores == [(address + 4, (15).to_bytes(4, "little"))]
    assert memory.raw == bytes(8)
