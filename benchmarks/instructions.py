"""What the GPU's kernels execute, counted in what NVIDIA's compiler makes of them: no GPU, and nothing is measured.

Each case of benchmarks/kernels.py runs on the emulator of tests/emulator, with activations (64, 6, 28, 28) in their
memory order. Some threads of each launch are interpreted in PTX, instruction by instruction. Moves and loads of
parameters do not count: in machine code, most are operands. Kernels with barriers are left out. Registers and local
memory are those of the machine code for Hopper (sm_90).

    python benchmarks/instructions.py [--dtype float16]

Needs g++ and the compiler of the wheel nvidia-cuda-nvrtc-cu12.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import kernels  # noqa: E402

from tests.gpu import nvrtc  # noqa: E402

ARCHITECTURE = "sm_90"
UNCOUNTED = ("mov", "ld.param", "cvta", "ret")
SAMPLES = 16  # threads of a launch that are interpreted


# --- PTX -----------------------------------------------------------------------------------------------------


class Function(NamedTuple):
    """A kernel in PTX: (guard, operation, operands) of each instruction, and where labels stand among them."""

    parameters: list[str]
    body: list[tuple[str, str, list[str]]]
    labels: dict[str, int]


class Executed(NamedTuple):
    """What one thread did: counted instructions, the bytes of its accesses to global memory, and what it stored."""

    instructions: int
    accesses: list[int]
    stores: list[tuple[int, bytes]]


def parse(ptx: str, name: str) -> Function:
    found = re.search(rf"\.entry {name}\((.*?)\)\s*(?:\.\w+[^\n]*\n)*\{{\n(.*?)\n\}}", ptx, re.DOTALL)
    assert found is not None
    body: list[tuple[str, str, list[str]]] = []
    labels: dict[str, int] = {}
    for line in re.sub(r"//[^\n]*", "", found[2]).splitlines():
        text = line.strip()
        if label := re.fullmatch(r"(\$\w+):", text):
            labels[label[1]] = len(body)
        elif text and text[0] != "." and (parts := re.fullmatch(r"(?:@(!?%p\d+)\s+)?([\w.]+)\s*(.*?);", text)):
            operands = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", parts[3])
            body.append((parts[1] or "", parts[2], operands))
    return Function(re.findall(r"(\w+_param_\d+)", found[1]), body, labels)


def size_of(kind: str) -> int:
    return int(kind[1:]) // 8


def value_of(bits: int, kind: str) -> Any:
    """The number that `bits` are as a "u32", "s16", "f32", ..."""
    size = size_of(kind)
    content = (bits & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    if kind[0] == "f":
        return np.frombuffer(content, f"f{size}")[0]
    return int.from_bytes(content, "little", signed=kind[0] == "s")


def bits_of(value: Any, kind: str) -> int:
    size = size_of(kind)
    if kind[0] == "f":
        return int.from_bytes(np.array(value, f"f{size}").tobytes(), "little")
    return int(value) & ((1 << 8 * size) - 1)


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b and a == a and b == b,
    "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
    "num": lambda a, b: a == a and b == b, "nan": lambda a, b: a != a or b != b,
}  # fmt: skip
UNORDERED = {f"{name}u": name for name in ("eq", "ne", "lt", "le", "gt", "ge")}
ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "mad": lambda a, b, c: a * b + c, "fma": lambda a, b, c: type(a)(np.float64(a) * np.float64(b) + np.float64(c)),
    "min": min, "max": max, "neg": lambda a: -a, "abs": abs, "not": lambda a: ~a, "and": lambda a, b: a & b,
    "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b, "shl": lambda a, b: a << min(b, 64),
    "shr": lambda a, b: a >> min(b, 64), "sqrt": np.sqrt, "rcp": lambda a: 1 / a, "ex2": np.exp2,
    "div": lambda a, b: a / b if isinstance(a, np.floating) else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1),
}  # fmt: skip


def computed(head: str, modifiers: list[str], given: list[int]) -> int:
    """The bits that an instruction without memory or jumps gives."""
    kind = modifiers[-1].replace("b", "u")
    if head == "cvt":
        return bits_of(value_of(given[0], modifiers[-1]), modifiers[-2])
    if head == "prmt":  # each half byte of the last operand chooses a byte
        both = (given[0] & 0xFFFFFFFF) | (given[1] & 0xFFFFFFFF) << 32
        return sum((both >> 8 * (given[2] >> 4 * i & 7) & 0xFF) << 8 * i for i in range(4))
    if head in ("bfe", "bfi"):  # the last operands are a position and a length
        *values, position, length = given
        mask = (1 << length) - 1
        if head == "bfe":
            return values[0] >> position & mask
        return values[1] & ~(mask << position) | (values[0] & mask) << position
    if kind == "pred":
        return int(ARITHMETIC[head](*given)) & 1
    result = kind[0] + str(2 * int(kind[1:])) if "wide" in modifiers else kind
    values = [value_of(bits, kind) for bits in given[:2]] + [value_of(bits, result) for bits in given[2:]]
    if head in ("shl", "shr"):  # by how much is unsigned, of 32 bits
        values[1] = given[1] & 0xFFFFFFFF
    if "hi" in modifiers:
        values[:2] = [values[0] * values[1] >> 8 * size_of(kind), 1]
    return bits_of(ARITHMETIC[head](*values), result)


def execute(function: Function, arguments: list[bytes], special: dict[str, int]) -> Executed:
    """One thread of a kernel that meets no other: global memory is that of this process, and stays as it is."""
    bits: dict[str, int] = dict(special)
    place, count, accesses, stores = 0, 0, [], []
    parameters = dict(zip(function.parameters, arguments, strict=True))
    names = list(parameters)

    def read(operand: str) -> int:
        if operand in bits:
            return bits[operand]
        if operand in parameters:  # the address of a parameter: its number, above all others
            return (names.index(operand) + 1) << 60
        if operand.startswith("0f"):
            return int(operand[2:], 16)
        return int(operand[2:], 16) if operand.startswith("0d") else int(operand, 0)

    def fields(operand: str) -> list[str]:
        return [name.strip() for name in operand.strip("{}").split(",")]

    def address(operand: str) -> tuple[str, int]:
        base, _, offset = operand.strip("[]").partition("+")
        if base in parameters:
            return base, int(offset or 0)
        at = read(base) + int(offset or 0)
        return (names[(at >> 60) - 1], at & ((1 << 60) - 1)) if at >> 60 else ("", at & ((1 << 64) - 1))

    with np.errstate(all="ignore"):
        while place < len(function.body):
            guard, operation, operands = function.body[place]
            place += 1
            count += not operation.startswith(UNCOUNTED)
            if guard and bool(bits[guard.lstrip("!")]) == guard.startswith("!"):
                continue
            head, *modifiers = operation.split(".")
            kind = modifiers[-1] if modifiers else ""
            if head == "bra":
                place = function.labels[operands[0]]
            elif head == "ret":
                break
            elif head in ("ld", "st"):
                inside, outside = operands if head == "ld" else operands[::-1]
                parameter, start = address(outside)
                size = size_of(kind)
                if "global" in modifiers:
                    accesses.append(size * len(fields(inside)))
                for at, register in enumerate(fields(inside)):
                    at = start + at * size
                    if head == "st":
                        stores.append((at, (read(register) & ((1 << 8 * size) - 1)).to_bytes(size, "little")))
                    else:
                        content = parameters[parameter][at : at + size] if parameter else ctypes.string_at(at, size)
                        bits[register] = int.from_bytes(content, "little", signed=kind[0] == "s") & ((1 << 64) - 1)
            elif head == "setp":
                name, base = modifiers[0], UNORDERED.get(modifiers[0], modifiers[0])
                a, b = (value_of(read(operand), kind.replace("b", "u")) for operand in operands[1:3])
                result = COMPARISONS[base](a, b) or (name in UNORDERED and (a != a or b != b))
                bits[operands[0]] = int(result)
            elif head == "selp":
                bits[operands[0]] = read(operands[1] if bits[operands[3]] else operands[2])
            elif head in ("mov", "cvta"):
                if operands[0].startswith("{"):
                    names_to = fields(operands[0])
                    width = 8 * size_of(kind) // len(names_to)
                    for i, item in enumerate(names_to):
                        bits[item] = read(operands[1]) >> i * width & ((1 << width) - 1)
                elif operands[1].startswith("{"):
                    items = fields(operands[1])
                    width = 8 * size_of(kind) // len(items)
                    bits[operands[0]] = sum((read(item) & ((1 << width) - 1)) << i * width
                                            for i, item in enumerate(items))  # fmt: skip
                else:
                    bits[operands[0]] = read(operands[1])
            else:
                values = [read(operand) for operand in operands[1:]]
                bits[operands[0]] = computed(head, modifiers, values)
    return Executed(count, accesses, stores)


# --- machine code --------------------------------------------------------------------------------------------


def resources(cubin: bytes) -> dict[str, tuple[int, int]]:
    """(registers, bytes of local memory) of each kernel, from the notes for the driver in the section .nv.info."""
    (start,), (size, count, names) = struct.unpack_from("<Q", cubin, 40), struct.unpack_from("<HHH", cubin, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", cubin, start + i * size) for i in range(count)]

    def text(section: tuple, offset: int) -> str:
        at = section[4] + offset
        return cubin[at : cubin.index(b"\0", at)].decode()

    by_name = {text(sections[names], section[0]): section for section in sections}
    symbols, strings, info = by_name[".symtab"], by_name[".strtab"], by_name[".nv.info"]
    found: dict[str, dict[int, int]] = {}
    at, end = info[4], info[4] + info[5]
    while at < end:
        form, attribute, length = struct.unpack_from("<BBH", cubin, at)
        at += 4
        if form == 4:  # a value of `length` bytes follows: the symbol and the number
            symbol, number = struct.unpack_from("<II", cubin, at)
            (name,) = struct.unpack_from("<I", cubin, symbols[4] + 24 * symbol)
            found.setdefault(text(strings, name), {})[attribute] = number
            at += length
    registers, frame = 0x2F, 0x11
    return {name: (of[registers], of.get(frame, 0)) for name, of in found.items() if registers in of}


@cache
def built(file: str, source: str) -> Any:
    compiled = nvrtc.compiled(f"{file}.cu", source, ARCHITECTURE)
    assert compiled.cubin is not None, compiled.log
    return compiled


# --- launches ------------------------------------------------------------------------------------------------


class Launched(NamedTuple):
    """What is known of one launch; instructions are a mean over threads, for each element of the result."""

    name: str
    instructions: float
    widest: int  # bytes, of the widest access
    registers: int
    local: int
    executed: list[Executed]


def launches(call: Callable[[], Any], elements: int) -> list[Launched]:
    """Those of `call()` whose kernels take elements or packs of one walk."""
    from tinycnn.backend.gpu import geometry, launch

    found, kernel = [], launch.kernel

    def noted(file: str, name: str, dtype: np.dtype, width: int = 1, sizes: Any = None) -> Callable:
        launched = kernel(file, name, dtype, width, sizes)

        def interpret(grid: tuple, block: tuple, arguments: tuple) -> None:
            given = [_bytes(argument) for argument in arguments]
            walks = [content for content in given if len(content) == geometry.WALK.itemsize]
            compiled = built(file, launch._module(file, dtype, width, sizes).code)
            function = parse(compiled.ptx, name)
            alone = not any(operation.startswith("bar") for _, operation, _ in function.body)
            if len(walks) == 1 and alone:
                (size,) = struct.unpack_from("<I", walks[0])
                threads = np.linspace(0, size - 1, SAMPLES).astype(int).tolist()
                done = [execute(function, given, dict(_special(thread, grid, block))) for thread in threads]
                mean = sum(each.instructions for each in done) / len(done) * size / elements
                widest = max(width for each in done for width in each.accesses)
                found.append(Launched(name, mean, widest, *resources(compiled.cubin)[name], done))
            launched(grid, block, arguments)

        return interpret

    with mock.patch.object(launch, "kernel", noted):
        call()
    return found


def _bytes(argument: Any) -> bytes:
    by_value = isinstance(argument, (np.ndarray, np.generic))
    return argument.tobytes() if by_value else argument.data.ptr.to_bytes(8, "little")


def _special(thread: int, grid: tuple, block: tuple) -> Iterator[tuple[str, int]]:
    yield "%tid.x", thread % block[0]
    yield "%ctaid.x", thread // block[0]
    yield "%ntid.x", block[0]
    yield "%nctaid.x", grid[0]


# --- the report ----------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="float32", help="float32 (default), float64 or float16")
    options = parser.parse_args()
    if "cupy" not in sys.modules:
        from tests import emulator

        emulator.install()
        os.environ["TINYCNN_CUBLAS"] = str(emulator.cublas_path())
    print("| | kernel | instructions an element | bytes an access | registers | local memory |")
    print("|---|---|---|---|---|---|")
    for case in kernels.cases(64, 6, 28, options.dtype):
        for found in launches(case.call, case.elements):
            numbers = f"{found.instructions:.1f} | {found.widest} | {found.registers} | {found.local}"
            print(f"| {case.name} | `{found.name}` | {numbers} |")


if __name__ == "__main__":
    main()
