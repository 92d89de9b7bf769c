"""The phases of a window: each input position is in one, and each meeting of a tap is in the one of its inputs."""

import numpy as np
from hypothesis import given

from tests.ops.test_conv_blocks import windows
from tinycnn.backend.phases import phases


@given(windows())
def test_phases_hold_every_position_and_every_meeting(window):
    places = np.arange(np.prod(window.input_size)).reshape(window.input_size)
    counts = np.zeros(window.input_size, int)
    taps = []
    for phase in phases(window):
        counts[phase.inputs] += 1
        for i, (tap, where) in enumerate(phase.meetings):
            np.testing.assert_array_equal(places[phase.inputs][where], places[tap.inputs])
            of_phase = places[phase.inputs]
            if i == 0 and of_phase.size:
                assert (of_phase[where].size == of_phase.size) == phase.begins_with_all
            taps.append(tap.position)
        assert phase.has_gaps == (max(window.stride) > 1)
    assert (counts == 1).all()
    assert sorted(taps) == sorted(tap.position for tap in window.taps)
