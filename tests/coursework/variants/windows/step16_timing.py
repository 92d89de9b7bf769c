from time import perf_counter

from step02_conv_forward_loops import conv_forward_loops
from step06_conv import conv_forward


def seconds(f, repeats=5, clock=perf_counter):
    best = float("inf")
    for i in range(repeats + 1):
        before = clock()
        f()
        after = clock()
        if i:
            best = min(best, after - before)
    return best


def compare(x, w, b, stride=1, padding=0, repeats=3):
    times = {}
    for name, convolve in (("loops", conv_forward_loops), ("im2col", conv_forward)):

        def f(convolve=convolve):
            return convolve(x, w, b, stride, padding)

        times[name] = seconds(f, repeats)
    return times | {"ratio": times["loops"] / times["im2col"]}
