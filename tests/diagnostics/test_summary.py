"""The table of a net's layers: its figures, its text, and that the net is as before."""

import re

import numpy as np
import pytest

import tinycnn
from tinycnn import nn, summary
from tinycnn.diagnostics.summary import size_of, table
from tinycnn.models import LeNet5


def rows_of(model, input_size, **options):
    return summary(model, input_size, show=False, **options).layers


def test_lenet_by_the_figures_of_its_paper(capsys):
    result = summary(LeNet5(), (1, 1, 28, 28))
    by_name = {row.name: row for row in result.layers}
    first, second, linear = by_name["features.0"], by_name["features.3"], by_name["classifier.1"]
    assert (first.layer, first.output_shapes, first.parameters) == ("Conv2d", ((1, 6, 28, 28),), 6 * 25 + 6)
    assert first.multiply_adds == 6 * 28 * 28 * 25
    assert second.multiply_adds == 16 * 10 * 10 * 6 * 25
    assert (linear.parameters, linear.multiply_adds) == (400 * 120 + 120, 400 * 120)
    assert (result.parameters, result.trainable_parameters) == (61_706, 61_706)
    assert result.multiply_adds == 117_600 + 240_000 + 48_000 + 10_080 + 840
    assert result.output_bytes == 4 * sum(np.prod(row.output_shapes[0]) for row in result.layers)
    assert capsys.readouterr().out == f"{result}\n"


def test_the_table_is_aligned_and_adds_up():
    model = nn.Sequential(nn.Conv2d(3, 100, 3), nn.ReLU())
    model[0].bias.requires_grad = False
    text = str(summary(model, (2, 3, 32, 32), show=False))
    assert text.splitlines() == [
        "name   layer   output shape      parameters  multiply-adds  output memory",
        "-------------------------------------------------------------------------",
        "0      Conv2d  (2, 100, 30, 30)       2,800      4,860,000      703.1 KiB",
        "1      ReLU    (2, 100, 30, 30)           0              0      703.1 KiB",
        "-------------------------------------------------------------------------",
        "total                                 2,800      4,860,000        1.4 MiB",
        "100 of the parameters are not trained.",
    ]


def test_multiply_adds_of_groups_and_transposed_convolutions():
    grouped, transposed = nn.Conv1d(4, 6, 3, groups=2), nn.ConvTranspose2d(4, 6, (2, 3), stride=2, groups=2)
    (row,) = rows_of(grouped, (5, 4, 9))
    assert row.multiply_adds == 5 * 6 * 7 * (2 * 3)
    (row,) = rows_of(transposed, (1, 4, 5, 6))
    # Every input element meets the weights of its group's outputs, each kernel position once.
    assert row.multiply_adds == (4 * 5 * 6) * (6 // 2) * (2 * 3)
    assert row.output_shapes == ((1, 6, 10, 13),)


def test_a_layer_without_submodules_is_its_own_table():
    (row,) = rows_of(nn.Linear(4, 2).double(), (7, 3, 4))
    assert (row.name, row.output_shapes, row.multiply_adds) == ("", ((7, 3, 2),), 7 * 3 * 2 * 4)
    assert row.output_bytes == 7 * 3 * 2 * 8  # float64, like the parameters
    assert re.search(r"^\(model\) +Linear", str(summary(nn.Linear(4, 2), (1, 4), show=False)), re.MULTILINE)


def test_shared_layers_are_counted_once_and_listed_at_every_call():
    shared = nn.Linear(3, 3)
    result = summary(nn.Sequential(shared, nn.ReLU(), shared), (1, 3), show=False)
    assert [row.parameters for row in result.layers] == [12, 0, 0]
    assert (result.parameters, result.multiply_adds) == (12, 18)


def test_several_inputs_several_outputs_and_parameters_of_the_net_itself():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(tinycnn.ones(3))
            self.pool = nn.MaxPool1d(2, return_indices=True)

        def forward(self, x, y):
            return self.pool(x * self.scale.reshape(3, 1) + y)[0]

    result = summary(Net(), [(2, 3, 8), (2, 3, 1)], show=False)
    assert [(row.name, row.output_shapes, row.parameters) for row in result.layers] == [
        ("pool", ((2, 3, 4), (2, 3, 4)), 0),
        ("", ((2, 3, 4),), 3),
    ]
    assert result.layers[0].output_bytes == 24 * 4 + 24 * 8  # float32 values, int64 indices


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Sequential(nn.Dropout()))
    model.train()
    model[3].eval()
    modes = [module.training for module in model.modules()]
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    calls = []
    model[0].register_forward_hook(lambda *_: calls.append(tinycnn.is_grad_enabled()))
    summary(model, (1, 1, 5, 5), show=False)
    assert calls == [False]  # one's own hooks run, and nothing is recorded
    assert [module.training for module in model.modules()] == modes
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    model(tinycnn.zeros(2, 1, 5, 5))  # the summary's own hooks are gone
    assert calls == [False, True]
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_failing_model_is_left_as_it_was_too():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(4, 4))
    with pytest.raises(ValueError, match=re.escape("Linear(in_features=4): expected input (*, 4), got (1, 3)")):
        summary(model, (1, 3))
    assert all(module.training and not module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("model, size, error", [
    ("LeNet5", (1, 28, 28), "summary: expected a Module, got str"),
    (nn.ReLU(), (1, "28"), r"summary: expected input_size as a shape, or several, got \(1, '28'\)"),
    (nn.ReLU(), (1, -28), r"summary: expected input_size as a shape, or several, got \(1, -28\)"),
])  # fmt: skip
def test_what_is_refused(model, size, error):
    with pytest.raises((TypeError, ValueError), match=error):
        summary(model, size)


def test_sizes_in_bytes():
    assert [size_of(n) for n in (0, 1023, 1024, 1536, 5 << 20, 3 << 30, 9 << 50)] == [
        "0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB", "3.0 GiB", "9216.0 TiB",
    ]  # fmt: skip


def test_words_stand_left_and_numbers_right():
    assert table(["way", "ms"], [["loops", "1,234"], ["product", "–"]]).splitlines() == [
        "way         ms", "--------------", "loops    1,234", "product      –",
    ]  # fmt: skip
