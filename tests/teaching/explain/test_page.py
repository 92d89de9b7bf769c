"""The page in a browser shows, lights and adds up what tinycnn computes."""

import itertools

import numpy as np
import pytest

from tinycnn.teaching import reference
from tinycnn.teaching.explain.worked import ConvGeometry, PoolGeometry, worked_conv, worked_pool

pytestmark = pytest.mark.slow

GEOMETRIES = [
    ConvGeometry(),
    ConvGeometry(input=(5, 7), kernel=(3, 2), stride=(1, 2), padding=(0, 1)),
    ConvGeometry(input=(7, 6), kernel=(2, 3), stride=(2, 1), padding=(1, 0), dilation=(2, 1)),
    ConvGeometry(input=(4, 5), kernel=(3, 2), stride=(1, 2), padding=(1, 1), channels=2, filters=3),
    ConvGeometry(input=(6, 6), kernel=(1, 2), stride=(3, 4), padding=(0, 2)),  # some of the input lies in no window
]
POOLS = [
    PoolGeometry(),
    PoolGeometry(input=(6, 5), kernel=(2, 3), stride=(2, 1), padding=(1, 1)),
    PoolGeometry(input=(7, 6), kernel=(3, 2), stride=(1, 2), dilation=(2, 1)),
]
NAMES = ["x", "w", "columns", "y", "dx", "dw", "dcolumns", "dy"]

READ = """() => Object.fromEntries([...document.querySelectorAll("td[data-name][role=gridcell]")]
    .map((td) => [`${td.dataset.name}:${td.dataset.index}`, [td.textContent, td.className]]))"""

NAMELESS = """() => [...document.querySelectorAll("input, select, button, [role=grid], [role=gridcell]")]
    .filter((e) => !e.getAttribute("aria-label") && !e.textContent.trim() && !e.closest("label")).length"""


def number(text):
    return float(text.replace("−", "-").replace("∞", "inf"))


def shown(page):
    """The numbers in the cells by array and index."""
    numbers = {}
    for key, (content, _) in page.evaluate(READ).items():
        name, index = key.split(":")
        numbers[name, tuple(map(int, index.split(",")))] = number(content)
    return numbers


def lit(page, name):
    """The indices of the highlighted cells, the selected one among them."""
    return {
        tuple(map(int, key.split(":")[1].split(",")))
        for key, (_, classes) in page.evaluate(READ).items()
        if key.split(":")[0] == name and {"lit", "selected"} & set(classes.split())
    }


def cell(page, name, index):
    return page.locator(f'[role=gridcell][data-name="{name}"][data-index="{",".join(map(str, index))}"]')


def point_at(page, name, index):
    page.mouse.move(0, 0)
    cell(page, name, index).hover()


def the_sum(page):
    """The terms of the sum below, and its result."""
    terms = page.eval_on_selector_all("#sum .term[data-value]", "all => all.map(term => Number(term.dataset.value))")
    return terms, float(page.get_attribute("#sum .result", "data-value"))


def meetings(geometry):
    """Which output position, kernel position and input position meet: (i, j), (k, l), (row, column)."""
    (KH, KW), (OH, OW), s, p, d = (
        geometry.kernel, geometry.output, geometry.stride, geometry.padding, geometry.dilation
    )  # fmt: skip
    for i, j, k, l in itertools.product(range(OH), range(OW), range(KH), range(KW)):
        yield (i, j), (k, l), (i * s[0] + k * d[0] - p[0], j * s[1] + l * d[1] - p[1])


def check_all_arrays(page, geometry):
    expected, numbers = worked_conv(geometry), shown(page)
    for name in NAMES:
        for index, value in np.ndenumerate(expected[name]):
            assert numbers[name, index] == value, (name, index)
    PH, PW = geometry.padding
    for (c, row, column), value in np.ndenumerate(expected["dx_padded"]):
        assert numbers["dx", (c, row - PH, column - PW)] == value


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_the_arrays_are_those_of_tinycnn(open_page, geometry):
    page = open_page(geometry)
    assert page.text_content("#check").startswith("✓")
    page.keyboard.press("4")
    check_all_arrays(page, geometry)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_the_worked_arrays_are_those_of_the_loops(geometry):
    a = worked_conv(geometry, seed=3)
    x, w, dy = a["x"][None], a["w"], a["dy"][None]
    options = {"stride": geometry.stride, "padding": geometry.padding, "dilation": geometry.dilation}
    dx, dw, db = reference.conv2d_backward(dy, x, w, **options)
    for name, expected in [("dx", dx[0]), ("dw", dw), ("db", db), ("y", reference.conv_nd(x, w, **options)[0])]:
        np.testing.assert_array_equal(a[name], expected)
    np.testing.assert_array_equal(a["columns"], reference.im2col_loops(x, geometry.kernel, **options)[0])
    back = reference.col2im_loops(a["dcolumns"][None], geometry.input, geometry.kernel, **options)
    np.testing.assert_array_equal(a["dx"], back[0])


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_an_output_lights_its_window_its_column_and_the_products(open_page, geometry):
    page, a = open_page(geometry), worked_conv(geometry)
    OH, OW = geometry.output
    for o, (i, j) in [(0, (0, 0)), (geometry.filters - 1, (OH - 1, OW // 2))]:
        point_at(page, "y", (o, i, j))
        window = {(c, *at) for out, _, at in meetings(geometry) if out == (i, j) for c in range(geometry.channels)}
        assert lit(page, "x") == window
        assert lit(page, "columns") == {(r, i * OW + j) for r in range(len(a["columns"]))}
        assert lit(page, "w") == {(o, *index) for index in np.ndindex(a["w"].shape[1:])}
        terms, result = the_sum(page)
        assert terms == (a["w"][o].ravel() * a["columns"][:, i * OW + j]).tolist()
        assert result == sum(terms) == a["y"][o, i, j]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_an_input_lights_every_gradient_that_flows_back_to_it(open_page, geometry):
    page, a = open_page(geometry), worked_conv(geometry)
    page.keyboard.press("3")
    (KH, KW), (H, W), OW = geometry.kernel, geometry.input, geometry.output[1]
    for c, row, column in [(0, 0, 0), (geometry.channels - 1, H // 2, W // 2), (0, H - 1, 1)]:
        point_at(page, "dx", (c, row, column))
        met = [(out, tap) for out, tap, at in meetings(geometry) if at == (row, column)]
        assert lit(page, "dy") == {(o, *out) for out, _ in met for o in range(geometry.filters)}
        entries = [((c * KH + k) * KW + l, i * OW + j) for (i, j), (k, l) in met]
        assert lit(page, "dcolumns") == set(entries)
        terms, result = the_sum(page)
        assert terms == [a["dcolumns"][entry] for entry in entries]
        assert result == sum(terms) == a["dx"][c, row, column]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_a_kernels_number_lights_what_it_met(open_page, geometry):
    page, a = open_page(geometry), worked_conv(geometry)
    page.keyboard.press("2")
    (KH, KW), C, O = geometry.kernel, geometry.channels, geometry.filters
    for o, c, k, l in [(0, 0, 0, 0), (O - 1, C - 1, KH - 1, KW // 2)]:
        point_at(page, "dw", (o, c, k, l))
        r = (c * KH + k) * KW + l
        assert lit(page, "columns") == {(r, p) for p in range(a["columns"].shape[1])}
        assert lit(page, "dy") == {(o, *index) for index in np.ndindex(geometry.output)}
        assert lit(page, "x") == {(c, *at) for _, tap, at in meetings(geometry) if tap == (k, l)}
        terms, result = the_sum(page)
        assert terms == (a["columns"][r] * a["dy"][o].ravel()).tolist()
        assert result == sum(terms) == a["dw"][o, c, k, l]


def test_changed_parameters_are_recomputed_in_the_page(open_page):
    page = open_page()
    for geometry in GEOMETRIES[1:]:
        page.keyboard.press("1")
        # All at once: one after the other, the page might rightly refuse what is between two geometries.
        fields = {}
        for name in ("input", "kernel", "stride", "padding", "dilation"):
            fields |= {f"{name}-{i}": value for i, value in enumerate(getattr(geometry, name))}
        fields |= {"channels-0": geometry.channels, "filters-0": geometry.filters}
        page.evaluate("fields => { for (const [id, v] of Object.entries(fields)) element(id).value = v; }", fields)
        page.locator("#filters-0").dispatch_event("change")
        assert page.text_content("#error") == ""
        assert page.text_content("#check") == ""
        page.locator("[role=tab]").nth(3).click()
        check_all_arrays(page, geometry)
    page.keyboard.press("1")
    page.fill("#stride-0", "1")
    page.fill("#stride-1", "2")
    page.keyboard.press("Tab")
    assert page.input_value("#stride-0") == "1"


@pytest.mark.parametrize("field, value, names", [
    ("stride-0", "0", "stride: expected 1 to 5, got 0"), ("kernel-1", "", "kernel: expected 1 to 5, got nothing"),
    ("dilation-0", "4", "output: expected 1 to 12"), ("input-0", "99", "input: expected 1 to 12, got 99"),
])  # fmt: skip
def test_a_geometry_that_does_not_fit_changes_nothing(open_page, field, value, names):
    page = open_page()
    before = shown(page)
    page.fill(f"#{field}", value)
    page.keyboard.press("Tab")
    assert names in page.text_content("#error")
    assert shown(page) == before


@pytest.mark.parametrize("geometry", [GEOMETRIES[0], GEOMETRIES[3]], ids=str)
@pytest.mark.parametrize("unit", ["window", "number"])
def test_the_walk_ends_where_col2im_does(open_page, geometry, unit):
    page, a = open_page(geometry), worked_conv(geometry)
    page.keyboard.press("3")
    page.select_option("#unit", unit)
    page.click("#rewind")
    assert {value for (name, _), value in shown(page).items() if name == "dx"} == {0}
    (KH, KW), (PH, PW), OW = geometry.kernel, geometry.padding, geometry.output[1]
    running, steps = np.zeros_like(a["dx_padded"]), int(page.get_attribute("#progress", "max"))
    order = []  # window by window, and of each the channels one after the other
    for (i, j), group in itertools.groupby(meetings(geometry), key=lambda meeting: meeting[0]):
        for c, (_, (k, l), (row, column)) in itertools.product(range(geometry.channels), list(group)):
            order.append(((c * KH + k) * KW + l, i * OW + j, c, row + PH, column + PW))
    size = len(order) // steps
    assert size * steps == len(order)
    for step in range(min(steps, 10)):
        page.click("#next")
        for r, p, c, row, column in order[step * size : (step + 1) * size]:
            running[c, row, column] += a["dcolumns"][r, p]
        now = shown(page)
        for (c, row, column), value in np.ndenumerate(running):
            assert now["dx", (c, row - PH, column - PW)] == value, step
    # Played to the end.
    page.select_option("#speed", "250")
    page.evaluate("goTo(walk.length - 2)")
    page.click("#play")
    page.wait_for_function("state.timer === null && state.step === walk.length")
    now = shown(page)
    for (c, row, column), value in np.ndenumerate(a["dx_padded"]):
        assert now["dx", (c, row - PH, column - PW)] == value
    expected = reference.col2im_loops(
        a["dcolumns"][None], geometry.input, geometry.kernel, geometry.stride, geometry.padding, geometry.dilation
    )
    np.testing.assert_array_equal(a["dx"], expected[0])


def test_the_other_walks_end_at_their_arrays(open_page):
    geometry = GEOMETRIES[3]
    page, a = open_page(geometry), worked_conv(geometry)
    for key, name in [("1", "y"), ("2", "dw")]:
        page.keyboard.press(key)
        page.click("#rewind")
        page.evaluate("() => { while (state.step < walk.length) element('next').click(); }")
        now = shown(page)
        assert all(now[name, index] == value for index, value in np.ndenumerate(a[name]))


def test_the_keyboard_reaches_everything(open_page):
    page, a = open_page(), worked_conv(ConvGeometry())
    page.keyboard.press("3")
    focused = "document.activeElement.dataset.name + ':' + document.activeElement.dataset.index"
    visited = []
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('role')") == "gridcell":
            visited.append(page.evaluate(focused).split(":")[0])
    assert [name for name, _ in itertools.groupby(visited)][:4] == ["dy", "w", "dcolumns", "dx"]
    cell(page, "dx", (0, 0, 0)).focus()
    for key in ["ArrowRight", "ArrowDown", "ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"]:
        page.keyboard.press(key)
    assert page.evaluate(focused) == "dx:0,1,1"
    terms, result = the_sum(page)
    assert result == sum(terms) == a["dx"][0, 1, 1]
    assert len(lit(page, "dy")) == 4
    name = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert name == f"dx[1, 1] is {a['dx'][0, 1, 1]}".replace("-", "−")
    assert page.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert int(outline.removesuffix("px")) >= 4
    page.keyboard.press("Space")
    assert page.evaluate("state.timer !== null && state.step === 0")
    assert page.text_content("#play") == "⏸ Pause"
    page.keyboard.press("Space")
    assert page.evaluate("state.timer === null")


def test_everything_has_a_name_for_those_who_do_not_see_it(open_page):
    page = open_page()
    for key in "12345":
        page.keyboard.press(key)
        nameless = page.evaluate(NAMELESS)
        assert nameless == 0
        assert page.get_attribute(f"[role=tab]:nth-child({key})", "aria-selected") == "true"


@pytest.mark.parametrize("width, height", [(1280, 800), (1920, 1080)])
def test_the_default_fits_on_a_projector(open_page, width, height):
    page = open_page(width=width, height=height)
    for key in "12345":
        page.keyboard.press(key)
        assert page.evaluate("document.documentElement.scrollHeight") <= height
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        smallest = page.evaluate("parseFloat(getComputedStyle(document.querySelector('[role=gridcell]')).width)")
        assert smallest >= (22 if key == "4" else 34)


# --- max pooling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("geometry", POOLS, ids=str)
def test_max_pooling_routes_to_the_first_largest(open_page, geometry):
    page, a = open_page(), worked_pool(geometry)
    page.keyboard.press("5")
    fields = {}
    for name in ("input", "kernel", "stride", "padding", "dilation"):
        fields |= {f"{name}-{i}": value for i, value in enumerate(getattr(geometry, name))}
    page.evaluate("fields => { for (const [id, v] of Object.entries(fields)) element(id).value = v; }", fields)
    page.locator("#input-0").dispatch_event("change")
    assert page.text_content("#error") == ""
    now = shown(page)
    for name in ("x", "y", "dy", "dx"):
        for index, value in np.ndenumerate(a[name]):
            assert now[name, index] == value, (name, index)
    (H, W), (OH, OW) = geometry.input, geometry.output
    for i, j in [(0, 0), (OH - 1, OW - 1), (OH // 2, OW // 2)]:
        window = [at for out, _, at in meetings(geometry) if out == (i, j) and 0 <= at[0] < H and 0 <= at[1] < W]
        best = max(a["x"][0][at] for at in window)
        first, *others = [at for at in window if a["x"][0][at] == best]
        point_at(page, "y", (0, i, j))
        marks = {key: classes.split() for key, (_, classes) in page.evaluate(READ).items()}
        stars, ties = ({key for key in marks if mark in marks[key]} for mark in ("winner", "tie"))
        assert stars == {f"{name}:0,{first[0]},{first[1]}" for name in ("x", "dx")}
        assert ties == {f"x:0,{row},{column}" for row, column in others}
    for row, column in list(np.ndindex(geometry.input))[::3]:
        point_at(page, "dx", (0, row, column))
        terms, result = the_sum(page)
        assert result == sum(terms) == a["dx"][0, row, column]
    page.click("#rewind")
    page.evaluate("() => { while (state.step < walk.length) element('next').click(); }")
    now = shown(page)
    assert all(now["dx", index] == value for index, value in np.ndenumerate(a["dx"]))


def test_the_pool_that_the_page_opens_with_has_ties_and_overlaps():
    a, geometry = worked_pool(PoolGeometry()), PoolGeometry()
    assert geometry.window.overlaps
    windows = {}
    for out, _, at in meetings(geometry):
        windows.setdefault(out, []).append(a["x"][0][at])
    assert any(values.count(max(values)) > 1 for values in windows.values())
