"""Which mistake was it? The grader computes what known mistakes would give and compares that with what came.

First what any function may do wrong (the order of results, np.empty, something kept between calls), then the exercise's
own mistakes. A mistake that gives the student's values on all cases is named as such.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tinycnn.teaching.grade import passages
from tinycnn.teaching.grade.comparing import same
from tinycnn.teaching.grade.pairs import pairs
from tinycnn.teaching.grade.relations import Pair, of_named, related
from tinycnn.teaching.grade.runner import POISON

if TYPE_CHECKING:
    from tinycnn.teaching.grade.exercise import Answer, Answers, Exercise, Mistake

Named = tuple[str, str]  # the mistake, and the passage that explains it
UNKNOWN: Named = ("", "")

PADS_ALL = "np.pad(x, padding) pads every axis, samples and channels too: give it a pair for each axis"

CHANGES = "changes its argument"

# Results whose first axis is the batch.
BATCHED = ("y", "x", "dx", "columns", "spread", "d_scores")


def diagnose(exercise: Exercise, index: int, answers: Answers) -> Named:
    """The mistake that gives these values of the result `index`, and where the text explains it; or two ""."""
    if not _wrong(index, answers.double):
        return _only_single(index, answers)
    texts = [answer.problem for answer in _wrong(index, answers.double)]
    if all(text.startswith(CHANGES) for text in texts):  # whatever the numbers are
        return f"{texts[0].splitlines()[0]} (+=, *= and [..] = write into the array itself)", passages.RULES
    ways = [_of_results, _by_one_mistake, _of_integers, _kept, _by_two_mistakes, _by_relation, _by_one_of_several,
            _only_where]
    if np.ndim(answers.first[0].expected[index]) == 0:  # little can be seen of one number
        ways[5], ways[6] = ways[6], ways[5]
    if not any(answer.values for answer in _wrong(index, answers.double)):
        ways = [_of_exceptions, _only_where]
    for way in ways:
        try:
            name, see = way(exercise, index, answers)
        except Exception:  # a result that nobody thought of, as an array of 64 axes, is wrong, and has no name
            continue
        if name:
            return name, see or exercise.see
    return UNKNOWN


def _is_right(answer: Answer, index: int) -> bool:
    return bool(answer.values) and not answer.problem and same(answer.values[index], answer.expected[index])


def _wrong(index: int, answers: list[Answer]) -> list[Answer]:
    return [answer for answer in answers if not _is_right(answer, index)]


# --- what any function may do wrong -------------------------------------------------------------------------


def _of_results(exercise: Exercise, index: int, answers: Answers) -> Named:
    """What can be seen by comparing results with expected ones."""
    came = [answer for answer in _wrong(index, answers.double) if answer.values]
    got, expected = [a.values[index] for a in came], [a.expected[index] for a in came]
    for other in range(len(came[0].expected)):
        if other != index and all(same(g, a.expected[other]) for g, a in zip(got, came)):
            return "the results come in another order than the docstring's", passages.RULES
    if any(_poisoned(g) and not _poisoned(e) for g, e in zip(got, expected)):
        return "np.empty is not np.zeros: elements that are never set, or only added to, hold anything", passages.ZEROS
    if all(a.values and same(a.values[index], a.expected[index], 1e-4)
        for a in answers.double) and all(map(_short, got)):
        return "computed in single precision: keep the dtype of the arguments", passages.RULES
    return UNKNOWN


def _of_integers(exercise: Exercise, index: int, answers: Answers) -> Named:
    """Integers where real numbers are expected."""
    arrays = [answer.values[index] for answer in answers.double if answer.values]
    expected = [answer.expected[index] for answer in answers.double if answer.values]
    if all(isinstance(a, np.ndarray) and a.dtype.kind in "iu" for a in arrays) and any(
        isinstance(e, np.ndarray) and e.dtype.kind == "f" for e in expected
    ):
        return "an array of integers cuts off what is behind the point: keep the dtype of the arguments", passages.RULES
    return UNKNOWN


def _short(value: Any) -> bool:
    """Whether float32 can hold all numbers of the value."""
    if isinstance(value, dict):
        return all(map(_short, value.values()))
    return bool(np.all(np.asarray(value) == np.asarray(value, np.float32)))


def _poisoned(value: Any) -> bool:
    """Whether np.empty's contents are in the value, or something computed from them."""
    if isinstance(value, dict):
        return any(map(_poisoned, value.values()))
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return False
    return bool(np.any((np.abs(value) > POISON / 1e3) & np.isfinite(value)))


def _kept(exercise: Exercise, index: int, answers: Answers) -> Named:
    """What is right at the first call and wrong later."""
    first, again = answers.first, answers.again
    if any(answer.problem for answer in first + again) or not any(_is_right(answer, index) for answer in first):
        return UNKNOWN
    for at, answer in enumerate(again):
        value, earlier = answer.values[index], first + again[:at]
        if any(a.case is answer.case and not same(a.values[index], value) for a in earlier):
            return "the same call gives another result the second time: something is kept between calls", passages.KEPT
        others = [a for a in earlier if _is_right(a, index) and not same(a.expected[index], answer.expected[index])]
        if np.size(value) > 1 and np.ptp(value) and any(same(a.values[index], value) for a in others):
            return "the result of an earlier call with these shapes: something is kept between calls", passages.KEPT
    return UNKNOWN


def _only_single(index: int, answers: Answers) -> Named:
    """What is right in float64 and wrong in float32."""
    values = [answer.values[index] for answer in answers.single if answer.values]
    if any(isinstance(value, np.ndarray) and value.dtype == np.float64 for value in values):
        return "float64 comes out where float32 went in: give np.zeros and the like dtype=x.dtype", passages.RULES
    if any(answer.problem for answer in answers.single):
        return UNKNOWN
    return "right in float64 only: numbers overflow in float32, or their difference vanishes", passages.RULES


# --- the mistakes of an exercise ----------------------------------------------------------------------------


def _by_one_mistake(exercise: Exercise, index: int, answers: Answers) -> Named:
    """A mistake that explains every case."""
    result, wrong = exercise.results[index], _wrong(index, answers.double)
    came = [answer for answer in wrong if answer.values]
    if result in BATCHED and all(_first_sample_only(a.values[index], a.expected[index]) for a in came):
        return "only the first sample of the batch is computed", passages.CHANNELS
    rest = [answer for answer in answers.double if answer not in came]
    for mistake in exercise.mistakes:
        if mistake.result == result and all(gives(mistake, answer, index) for answer in came + rest):
            return mistake.name, mistake.see
    return UNKNOWN


def _by_two_mistakes(exercise: Exercise, index: int, answers: Answers) -> Named:
    """Two mistakes that together explain every case."""
    wrong = _wrong(index, answers.double)
    known = [mistake for mistake in exercise.mistakes if mistake.result == exercise.results[index]]
    if answers.budget.seconds <= 0 or not any(mistake.before or mistake.after for mistake in known):
        return UNKNOWN
    # In the largest case the fewest mistakes give the same.
    probe = max((a for a in wrong if a.values), key=lambda answer: np.size(answer.expected[index]))
    doubles = (double for double in exercise.doubles() if double.result == exercise.results[index])
    for pair in pairs(known, doubles, probe.case.arguments, probe.values[index], answers.budget):
        if all(gives(pair, answer, index) for answer in answers.double):
            return pair.name, pair.see
    return UNKNOWN


def _by_relation(exercise: Exercise, index: int, answers: Answers) -> Named:
    """How the results differ from the right ones, and in which cases."""
    if exercise.judge is not None:
        return UNKNOWN
    came = [answer for answer in _wrong(index, answers.double) if answer.values]
    if came and all(isinstance(a.values[index], dict) and isinstance(a.expected[index], dict) for a in came):
        return of_named(exercise.results[index], [(a.values[index], a.expected[index]) for a in came])
    cases = [Pair(np.asarray(a.values[index]), np.asarray(a.expected[index]), a.case.arguments) for a in came
             if isinstance(a.values[index], (np.ndarray, int, float))]  # fmt: skip
    name, see = related(exercise.results[index], exercise.function, cases) if len(cases) == len(came) else UNKNOWN
    if not name:
        return UNKNOWN
    fact, _ = _only_where(exercise, index, answers)
    return f"{name}{'; ' * bool(fact)}{fact}", see


def _by_one_of_several(exercise: Exercise, index: int, answers: Answers) -> Named:
    """There may be two mistakes: the one that explains the smallest wrong case and most others, at least half."""
    came = [answer for answer in _wrong(index, answers.double) if answer.values]
    explained: dict[Named, int] = {}  # the number of wrong cases
    for mistake in exercise.mistakes:
        if mistake.result == exercise.results[index] and gives(mistake, came[0], index):
            count = sum(gives(mistake, answer, index) for answer in came)
            explained[mistake.name, mistake.see] = max(count, explained.get((mistake.name, mistake.see), 0))
    most = max(explained.values(), default=0)
    if most < max(2, len(came) / 2):
        return UNKNOWN
    # Of several that explain as many, the first: it is the likeliest, and the others often say the same.
    name, see = next(named for named, count in explained.items() if count == most)
    return f"perhaps {name} (other cases go wrong in another way)", see


def _first_sample_only(got: Any, expected: np.ndarray) -> bool:
    if not isinstance(got, np.ndarray) or got.shape != expected.shape or len(expected) < 2:
        return False
    return same(got[:1], expected[:1]) and not got[1:].any()


def gives(mistake: Mistake, answer: Answer, index: int) -> bool:
    """Whether the mistake gives the value of an answer; an exception may come wherever the mistake is not right."""
    try:
        with np.errstate(all="ignore"):
            value = mistake.compute(**answer.case.arguments)
    except Exception:
        return not answer.values
    if answer.values:
        return same(answer.values[index], value)
    return not same(value, answer.expected[index])


# --- where it goes wrong ------------------------------------------------------------------------------------


def _kernel(a: dict[str, Any]) -> tuple[int, ...]:
    return a["kernel_size"] if "kernel_size" in a else a["w"].shape[2:]


def _batch(a: dict[str, Any]) -> np.ndarray:
    return next(value for value in a.values() if isinstance(value, np.ndarray))


def _pads_channels(answer: Answer) -> bool:
    """Whether the text of an exception names as many channels as np.pad(x, padding) makes."""
    arguments = answer.case.arguments
    if "x" not in arguments or not arguments.get("padding"):
        return False
    channels = arguments["x"].shape[1] + 2 * arguments["padding"]
    columns = channels * int(np.prod(_kernel(arguments)))
    return bool(re.search(rf"\({channels},\d+,\d+\)|\b{columns}\b", answer.problem))


def _has_no_stride(answer: Answer) -> bool:
    """Whether it ends with an exception about a stride of 0, where only the padding is 0."""
    a = answer.case.arguments
    without = a.get("padding") == 0 and a.get("stride") != 0
    return without and ("step cannot be zero" in answer.problem or "by zero" in answer.problem)


# What may be true of the arguments of a case, the likelier reason first.
_FACTS: list[tuple[str, str, Callable[[dict[str, Any]], bool]]] = [
    ("with padding", passages.PADDING, lambda a: a["padding"] > 0),
    ("without padding", passages.CROPPING, lambda a: a["padding"] == 0),
    ("with a stride above 1", passages.GEOMETRY, lambda a: a["stride"] > 1),
    ("with a dilation above 1", passages.GEOMETRY, lambda a: a["dilation"] > 1),
    ("with more than one sample", passages.CHANNELS, lambda a: len(_batch(a)) > 1),
    ("with more than one channel", passages.CHANNELS, lambda a: a["x"].shape[1] > 1),
    ("with more than one output channel", passages.CHANNELS, lambda a: len(a["w"]) > 1),
    ("with a kernel that is not square", passages.CHANNELS, lambda a: len(set(_kernel(a))) > 1),
    ("with stride and padding", passages.GEOMETRY, lambda a: a["stride"] > 1 and a["padding"] > 0),
    ("with a stride or padding", passages.GEOMETRY, lambda a: a["stride"] > 1 or a["padding"] > 0),
    ("with a stride or dilation", passages.GEOMETRY, lambda a: a["stride"] > 1 or a["dilation"] > 1),
    ("with more than one sample or channel", passages.CHANNELS,
     lambda a: len(_batch(a)) > 1 or a["x"].shape[1] > 1),
    ("with as many rows as columns", passages.CHANNELS, lambda a: len(set(_batch(a).shape[-2:])) == 1),
    ("with more than one epoch", passages.TRAINING, lambda a: a["epochs"] > 1),
    ("with more than one batch", passages.TRAINING, lambda a: len(a["images"]) > a["batch_size"]),
    ("with more than one row", passages.CROSS_ENTROPY, lambda a: len(a["scores"]) > 1),
]  # fmt: skip


def _only_where(exercise: Exercise, index: int, answers: Answers) -> Named:
    """What the wrong cases have in common, and no right one has."""
    wrong = [not _is_right(answer, index) for answer in answers.double]
    for name, see, fact in _FACTS:
        try:
            found = [fact(answer.case.arguments) for answer in answers.double]
        except (KeyError, IndexError, AttributeError, TypeError, StopIteration):
            continue  # not an argument of this function
        if found == wrong and not all(wrong):
            return f"all cases {name} go wrong, and all others are right: look there", see
    return UNKNOWN


_KINDS = [
    (("NameError", "UnboundLocalError"), "a name is used before it has a value: look for a typing error in that line"),
    (("TypeError",), "a value of another kind than the line needs: print type(..) of what stands in it"),
    (("AttributeError: 'NoneType'",), "a value is None: a return is missing, or a parameter has no gradient, as the "
     "loss is not computed from it (or only from a copy)"),
    (("AttributeError",), "the value in that line has no such attribute: print what it is"),
    (("ZeroDivisionError",), "a division by 0: print the divisor"),
    (("KeyError",), "a name that the dict does not have: print its keys"),
    (("RecursionError",), "the function calls itself without an end"),
    (("MemoryError",), "an array that is far too large: print its shape on paper first"),
]


def _of_exceptions(exercise: Exercise, index: int, answers: Answers) -> Named:
    """What the texts of exceptions tell, if nothing but exceptions is wrong."""
    wrong = _wrong(index, answers.double)
    texts = [answer.problem for answer in wrong]
    if all(map(_pads_channels, wrong)):
        return PADS_ALL, passages.PADDING
    if any(map(_has_no_stride, wrong)) and all(_has_no_stride(a) for a in wrong if not a.case.arguments["padding"]):
        return "the padding comes where a stride belongs: give stride, padding and dilation in their order", (
            passages.GEOMETRY)
    if all("window shape cannot be larger" in text for text in texts):
        return "a window is larger than its padded input: look at the sizes, and the order of stride and padding", (
            passages.SIZE)
    if all(" out of bounds" in text for text in texts):
        return "an index runs beyond its axis: print the shape, and the index in the last turn", passages.AXES
    if all("cannot reshape" in text or "does not fit shape" in text for text in texts):
        return "a reshape to another number of elements: an axis is missing, or one too many", passages.RESHAPE
    if all("backward through" in text and "a second time" in text for text in texts):
        return "backward() is called twice: once gives all gradients", passages.TRAINING
    if all("index can't contain negative values" in text for text in texts):
        return "np.pad is asked for less than no zeros: print the numbers of zeros", passages.PADDING
    if all("could not be broadcast" in text or "could not broadcast" in text or "mismatch" in text for text in texts):
        name, see = _only_where(exercise, index, answers)
        return f"two arrays whose shapes do not fit: print both{'; ' * bool(name)}{name}", see or passages.AXES
    for kinds, name in _KINDS:
        if all(text.startswith(kinds) for text in texts):
            return name, passages.RULES
    return UNKNOWN
