"use strict";

// What is on the page, and what lights up. All numbers come from formulas.js.
// A cell is named by its array and its index, as in the formulas: "x" with [c, row, column], "w" with [o, c, k, l],
// "y" with [o, i, j], "columns" with [r, p]; gradients, "dx" and so on, have the index of what they belong to. "spread" is dy
// with zeros between and around, "rotated" is w turned by 180°.

const state = {
  view: "forward",
  selected: null, // { name, index }
  step: null, // how many steps of the walk are done; null: all of them, and no walk
  timer: null,
  geometry: structuredClone(DATA.geometry),
};
let g; // the geometry of the view, as formulas.js wants it
let arrays; // all arrays of the view by name
let terms; // all products, see formulas.js
let termsAt; // by "base:index" those that the cell takes part in
let walk; // the steps of the view
let cells; // by "name:index" what is shown of the cell: { name, index, elements, text, size, marks }

const element = (id) => document.getElementById(id);
const baseOf = (name) => name.replace(/^d/, ""); // the array that a gradient belongs to
const text = (number) => (number === -Infinity ? "−∞" : String(number).replace("-", "−"));
const inBrackets = (number) => (number < 0 ? `(${text(number)})` : text(number));

const VIEWS = {
  forward: {
    title: "Forward",
    caption: `Each window of the input, read row by row, is one <em>column</em> (im2col). Each number of the column
      times the kernel's number in its row, summed, is one number of the output. Point at any cell.`,
    panels: ["w", "x", ["→", "im2col"], "columns", ["→", "add up"], "y"],
    around: { left: "w", bottom: "y" },
    product: ["w", "x"],
    start: ["y", 0],
    result: "y",
  },
  weight: {
    title: "Weight gradient",
    caption: `A kernel's number met a whole <em>row</em> of the columns, one number an output. It receives from every
      output: the number it met there, times the gradient of that output. So: <em>row times dy, summed</em>.`,
    panels: ["dy", "x", ["→", "im2col"], "columns", ["→", "add up"], "dw"],
    around: { top: "dy", right: "dw" },
    product: ["x", "dy"],
    start: ["dw", 0],
    result: "dw",
  },
  input: {
    title: "Input gradient",
    caption: `Every output sends its gradient, times the kernel, back to its window: a column of this multiplication
      table. Each number goes home to where im2col took it from. <em>Where windows overlap, they add</em> (col2im).`,
    panels: ["dy", "w", ["→", "multiply"], "dcolumns", ["→", "col2im"], "dx"],
    around: { left: "w", top: "dy" },
    product: ["w", "dy"],
    start: ["dx", 0],
    result: "dx",
  },
  rotated: {
    title: "Rotated kernel",
    caption: `The same gradient, collected instead of sent. Put zeros between the numbers of dy (the stride) and around
      them, and turn the kernel by 180°, holes and all: then dx is a convolution of stride 1. <em>Each number of dx has a
      window in dy</em>; hatched numbers are zeros that were put in.`,
    panels: ["spread", "rotated", ["→", "convolve"], "dx"],
    around: {},
    start: ["dx", 0],
    result: "dx",
  },
  all: {
    title: "All at once",
    caption: `The way forward and the way back: <em>each gradient has the shape of the array that it belongs to</em>.`,
    panels: ["x", "dx", "w", "dw", "columns", "dcolumns", "y", "dy"],
    orders: [["x", "dx", "w", "dw", "columns", "y", "dcolumns", "dy"], ["x", "dx", "columns", "dcolumns", "w", "dw", "y", "dy"]],
    around: {},
    start: ["dx", 0],
    result: "dx",
  },
  pool: {
    title: "Max pooling",
    caption: `The largest number of each window is the output; of equal ones, the first, row by row (★; the others
      dashed). Its gradient goes <em>there and nowhere else</em>. Who wins in several windows gets the sum.`,
    panels: ["x", ["→", "largest"], "y", ["↩", "gradient"], "dy", ["→", "to the winner"], "dx"],
    around: {},
    start: ["y", 0],
    result: "dx",
  },
};

const WORDS = {
  x: "input", w: "kernel", columns: "im2col of x", y: "output",
  dx: "input gradient", dw: "weight gradient", dcolumns: "column gradient", dy: "upstream gradient",
  spread: "with zeros between and around", rotated: "kernel, rotated by 180°",
};
const SYMBOLS = { spread: "dy", rotated: "w" }; // of all others the name
const HUES = { spread: "y", rotated: "w" };

// --- geometry and arrays -----------------------------------------------------------------------------------

const kind = () => (state.view === "pool" ? "pool" : "conv");

function expand(given) {
  const [H, W] = given.input, [KH, KW] = given.kernel, [SH, SW] = given.stride, [PH, PW] = given.padding;
  const [DH, DW] = given.dilation, C = given.channels, O = given.filters;
  const OH = outputSize(H, KH, SH, PH, DH), OW = outputSize(W, KW, SW, PW, DW);
  return { C, O, H, W, KH, KW, SH, SW, PH, PW, DH, DW, OH, OW, RH: DH * (KH - 1), RW: DW * (KW - 1) };
}

// One line about what does not fit, or null.
function complaint(given, isPool) {
  const outside = (name, number) => {
    const [least, most] = DATA.limits[name];
    return Number.isInteger(number) && number >= least && number <= most
      ? null : `${name}: expected ${least} to ${most}, got ${Number.isNaN(number) ? "nothing" : number}`;
  };
  for (const [name, value] of Object.entries(given))
    for (const number of [value].flat()) if (outside(name, number)) return outside(name, number);
  const { C, H, W, KH, KW, PH, PW, OH, OW, RH, RW } = expand(given);
  for (const size of [H + 2 * PH, W + 2 * PW]) if (outside("padded", size)) return `${outside("padded", size)}, input + 2 · padding`;
  for (const size of [RH + 1, RW + 1]) if (outside("window", size)) return `${outside("window", size)}, dilation · (kernel − 1) + 1`;
  for (const size of [OH, OW]) if (outside("output", size)) return `${outside("output", size)}: ${OH} × ${OW}`;
  if (isPool && (2 * PH > KH || 2 * PW > KW)) return "padding: expected at most half the kernel";
  if (outside("rows", C * KH * KW)) return `${outside("rows", C * KH * KW)} of the im2col matrix, channels · KH · KW`;
  if (outside("columns", OH * OW)) return `${outside("columns", OH * OW)} of the im2col matrix, OH · OW`;
  return null;
}

// The first corner of an array, of the given sizes.
const corner = (array, size, ...rest) => array.slice(0, size).map((a) => (rest.length ? corner(a, ...rest) : a));

function compute() {
  g = expand(state.geometry[kind()]);
  terms = products(g);
  termsAt = new Map();
  for (const term of terms)
    for (const [base, indexOf] of Object.entries(indexIn)) {
      const key = `${base}:${indexOf(term)}`;
      if (!termsAt.has(key)) termsAt.set(key, []);
      termsAt.get(key).push(term);
    }
  const given = DATA.numbers;
  if (kind() === "pool") {
    const x = corner(given.pool_x, 1, g.H, g.W), dy = corner(given.pool_dy, 1, g.OH, g.OW);
    const { y, winners } = maxPool(x, g);
    arrays = { x, y, dy, winners, dx: maxPoolBackward(dy, winners, g) };
  } else {
    const x = corner(given.x, g.C, g.H, g.W), w = corner(given.w, g.O, g.C, g.KH, g.KW);
    const dy = corner(given.dy, g.O, g.OH, g.OW), columns = im2col(x, g), dcolumns = columnGradient(w, dy, g);
    const dx_padded = col2im(dcolumns, g);
    arrays = { x, w, dy, columns, dcolumns, dx_padded, dx: crop(dx_padded, g) };
    arrays.spread = spreadGradient(dy, g);
    arrays.rotated = rotatedKernel(w, g);
    arrays.y = conv(columns, w, g);
    arrays.dw = weightGradient(columns, dy, g);
    arrays.db = dy.map((each) => each.flat().reduce((a, b) => a + b, 0));
  }
}

// Whether the formulas give what tinycnn computed: for the geometry that the page was made for, every array.
function check() {
  if (JSON.stringify(state.geometry[kind()]) !== JSON.stringify(DATA.geometry[kind()])) return "";
  const same = Object.entries(DATA.arrays[kind()]).every(([n, a]) => JSON.stringify(a) === JSON.stringify(arrays[n]));
  return same ? "✓ <span>the numbers that tinycnn computes</span>" : "✗ not the numbers that tinycnn computes";
}

// Whether a cell holds a zero that was put in: around the input, between the numbers of dy, in the holes of the kernel.
function isFilled(name, index) {
  return ["spread", "rotated"].includes(name) ? !termsAt.has(`${name}:${index}`) : isPadding(name, index);
}

function isPadding(name, index) {
  const [, row, column] = index;
  return baseOf(name) === "x" && (row < 0 || row >= g.H || column < 0 || column >= g.W);
}

function value(name, index) {
  if (name === "x") return at(arrays.x, ...index, g);
  if (name === "dx") {
    const [c, row, column] = index;
    return arrays.dx_padded ? arrays.dx_padded[c][row + g.PH][column + g.PW] : at(arrays.dx, ...index, g);
  }
  return index.reduce((array, i) => array[i], arrays[name]);
}

// How the text speaks of a cell; a single channel or filter is not counted.
function label(name, index) {
  const base = baseOf(name);
  if (name === "spread" || name === "rotated") {
    const [term] = termsAt.get(`${name}:${index}`) ?? [];
    if (!term) return name === "spread" ? "a zero" : "a hole";
    return name === "spread" ? label("dy", indexIn.y(term)) : label("w", indexIn.w(term));
  }
  let shown = index;
  if (base === "columns") {
    const [r, p] = index, c = Math.floor(r / (g.KH * g.KW));
    const tap = [Math.floor(r / g.KW) % g.KH, r % g.KW];
    return `${name}[${g.C > 1 ? `${c}, ` : ""}${tap.join(", ")} ; ${Math.floor(p / g.OW)}, ${p % g.OW}]`;
  }
  if (base === "x" && g.C === 1) shown = index.slice(1);
  if (base === "y" && g.O === 1) shown = index.slice(1);
  if (base === "w") shown = [...(g.O > 1 ? [index[0]] : []), ...(g.C > 1 ? [index[1]] : []), ...index.slice(2)];
  return `${name}[${shown.map(text).join(", ")}]`;
}

// --- which products a cell takes part in -------------------------------------------------------------------

const indexIn = {
  x: (t) => [t.c, t.row, t.column],
  w: (t) => [t.o, t.c, t.k, t.l],
  columns: (t) => [t.r, t.p],
  y: (t) => [t.o, t.i, t.j],
  spread: (t) => [t.o, g.RH + t.i * g.SH, g.RW + t.j * g.SW],
  rotated: (t) => [t.o, t.c, g.RH - t.k * g.DH, g.RW - t.l * g.DW],
};
const termsOf = ({ name, index }) => termsAt.get(`${baseOf(name)}:${index}`) ?? [];

// --- the walk ----------------------------------------------------------------------------------------------

// A step is { cells that it reads or that are selected, added: [[index, number]] } of the view's result.
function makeWalk() {
  const { view } = state, steps = [];
  if (view === "rotated") {
    for (let row = -g.PH; row < g.H + g.PH; row++)
      for (let column = -g.PW; column < g.W + g.PW; column++) {
        const added = range(g.C).map((c) => [[c, row, column], value("dx", [c, row, column])]);
        steps.push({ selected: { name: "dx", index: [0, row, column] }, added });
      }
    return steps;
  }
  const byPosition = (p) => terms.filter((t) => t.p === p);
  for (let p = 0; p < g.OH * g.OW; p++) {
    const i = Math.floor(p / g.OW), j = p % g.OW;
    if (view === "pool") {
      const winner = arrays.winners[i][j];
      const added = winner ? [[[0, winner.row, winner.column], arrays.dy[0][i][j]]] : [];
      steps.push({ selected: { name: "dy", index: [0, i, j] }, p, added });
    } else if (view === "forward") {
      const added = range(g.O).map((o) => [[o, i, j], arrays.y[o][i][j]]);
      steps.push({ selected: { name: "y", index: [0, i, j] }, p, added });
    } else if (view === "weight") {
      const added = byPosition(p).map((t) => [indexIn.w(t), arrays.columns[t.r][p] * arrays.dy[t.o][i][j]]);
      steps.push({ selected: { name: "dy", index: [0, i, j] }, p, added });
    } else {
      const added = byPosition(p).filter((t) => t.o === 0).map((t) => [indexIn.x(t), arrays.dcolumns[t.r][p], t.r]);
      if (element("unit").value === "window") steps.push({ selected: { name: "dy", index: [0, i, j] }, p, added });
      else for (const one of added) steps.push({ selected: { name: "dcolumns", index: [one[2], p] }, p, added: [one] });
    }
  }
  return steps;
}

// The result after the first `count` steps, by index.
function partial(count) {
  const totals = {};
  for (const { added } of walk.slice(0, count))
    for (const [index, number] of added) totals[index] = (totals[index] ?? 0) + number;
  return totals;
}

// --- building the page -------------------------------------------------------------------------------------

function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, content] of Object.entries(properties))
    name in made && name !== "role" ? (made[name] = content) : made.setAttribute(name, content);
  made.append(...children);
  return made;
}

function cell(name, index, mirror = false) {
  const td = make("td");
  td.plain = [HUES[name] ?? baseOf(name), ...(mirror ? ["margin"] : []), ...(isFilled(name, index) ? ["pad"] : [])].join(" ");
  td.dataset.name = name;
  td.dataset.index = index;
  if (!mirror) {
    td.setAttribute("role", "gridcell");
    td.tabIndex = -1;
  }
  const key = `${name}:${index}`;
  if (!cells.has(key)) cells.set(key, { name, index, elements: [], text: null, size: "", marks: "" });
  cells.get(key).elements.push(td);
  return td;
}

function image(name, first, [rows, columns], from) {
  const table = make("table", { role: "presentation" });
  for (let i = 0; i < rows; i++) {
    const tr = table.appendChild(make("tr", { role: "row" }));
    for (let j = 0; j < columns; j++) tr.append(cell(name, [...first, i + from[0], j + from[1]]));
  }
  return table;
}

// The output rows `from` to `to` of the im2col matrix, with a factor or the result of the matrix product along its sides.
function strip(name, around, from, to) {
  const table = make("table", { role: "presentation" }), R = g.C * g.KH * g.KW, indices = state.view !== "all";
  const positions = range((to - from) * g.OW).map((p) => p + from * g.OW);
  const tap = (r) => [Math.floor(r / (g.KH * g.KW)), Math.floor(r / g.KW) % g.KH, r % g.KW];
  const head = (html, className = "") => make("th", { className, innerHTML: html });
  const blank = (n, className = "corner") => range(n).map(() => make("td", { className }));
  const numbered = (n, o) => `<i>${n}</i>${g.O > 1 ? `<wbr>${o}` : ""}`;
  const kernel = (n, r) => range(g.O).map((o) => cell(n, [o, ...tap(r)], true));
  const output = (n, o) => positions.map((p) => cell(n, [o, Math.floor(p / g.OW), p % g.OW], true));
  const last = around.right && to === g.OH;
  const side = (n) => {
    for (let o = 0; o < g.O; o++) {
      const before = around.left ? [...blank(g.O), ...blank(1, "gap")] : [], after = last ? [...blank(1, "gap"), ...blank(g.O)] : [];
      table.append(make("tr", {}, ...before, head(numbered(n, o), "row"), ...output(n, o), ...after));
    }
  };
  if (around.top) side(around.top);
  if (indices) {
    const names = (n) => range(g.O).map((o) => head(numbered(n, o)));
    const own = positions.map((p) => head([Math.floor(p / g.OW), p % g.OW].join(p >= 10 * g.OW ? "<wbr>," : ",<wbr>"), "position"));
    const left = around.left ? [...names(around.left), ...blank(1, "gap")] : [];
    table.append(make("tr", { className: "head" }, ...left, head("", "row"), ...own, ...(last ? [...blank(1, "gap"), ...names(around.right)] : [])));
  }
  for (let r = 0; r < R; r++) {
    const tr = table.appendChild(make("tr", { role: "row" })), [c, k, l] = tap(r);
    if (around.left) tr.append(...kernel(around.left, r), ...blank(1, "gap"));
    if (indices) tr.append(head((g.C > 1 ? [c, k, l] : [k, l]).join(","), "row"));
    const own = positions.map((p) => cell(name, [r, p]));
    if (c > 0 && k === 0 && l === 0) for (const td of own) td.plain += " channel";
    tr.append(...own);
    if (last) tr.append(...blank(1, "gap"), ...kernel(around.right, r));
  }
  if (around.bottom) {
    table.append(make("tr", { className: "gap" }, ...blank(1, "gap")));
    side(around.bottom);
  }
  return table;
}

// What the arrays of a panel are made of: how many channels or filters, and their rows and columns.
function partsOf(name) {
  const channels = range(g.C).map((c) => ({ first: [c], what: g.C > 1 ? `channel ${c}` : "" }));
  const filters = range(g.O).map((o) => ({ first: [o], what: g.O > 1 ? `filter ${o}` : "" }));
  const kernels = channels.flatMap((of) => filters.map((by) => (
    { first: [...by.first, ...of.first], what: by.what && of.what ? `${by.first}, ${of.first}` : by.what || of.what })));
  const parts = {
    x: [channels, [g.H + 2 * g.PH, g.W + 2 * g.PW]], y: [filters, [g.OH, g.OW]], w: [kernels, [g.KH, g.KW]],
    spread: [filters, [g.H + 2 * g.PH + g.RH, g.W + 2 * g.PW + g.RW]], rotated: [kernels, [g.RH + 1, g.RW + 1]],
  };
  return parts[baseOf(name)];
}

// A panel without its cells, and what the layout must know of it; it is measured once it stands on the page.
function panel(name) {
  const view = VIEWS[state.view], base = baseOf(name), isMatrix = base === "columns";
  const C = g.C > 1 ? [g.C] : [], O = g.O > 1 ? [g.O] : [];
  const [blocks, sizes] = isMatrix ? [[], [g.C * g.KH * g.KW, g.OH * g.OW]] : partsOf(name);
  const shown = {
    x: [...C, g.H, g.W], y: [...O, g.OH, g.OW], w: [...O, ...C, g.KH, g.KW], columns: sizes,
    spread: [...O, ...sizes], rotated: [...O, ...C, ...sizes],
  }[base].join(" × ");
  const title = make("h2", { innerHTML: `<var>${SYMBOLS[name] ?? name}</var><span>${WORDS[name]} <br>${shown}</span>` });
  const grid = make("div", { role: "grid", className: "blocks" });
  grid.setAttribute("aria-label", `${SYMBOLS[name] ?? name}, ${WORDS[name]}, ${shown.replaceAll("×", "by")}`);
  const note = make("p", { className: "note", innerHTML: notes(name) });
  const element = make("section", { className: `panel ${HUES[name] ?? base}${base === name && name !== "spread" ? "" : " gradient"}` }, title, grid, note);
  const { left, right, top, bottom } = view.around, sides = (given) => (given ? g.O : 0);
  const matrix = isMatrix && {
    left: sides(left), right: sides(right), top: sides(top), bottom: sides(bottom), head: state.view !== "all", positions: g.OW,
  };
  const beside = ["w", "rotated"].includes(base) ? [...new Set([g.O, g.O * g.C, 1])] : range(blocks.length).map((i) => i + 1);
  return { element, title, note, grid, matrix, blocks, beside, sizes };
}

// The panels on the stage, as large as the window lets them: if need be without the caption and the notes. Where they
// do not fit even so, the page scrolls.
function place() {
  const view = VIEWS[state.view], stage = element("stage"), panels = {};
  for (const name of view.panels) if (!Array.isArray(name)) panels[name] = panel(name);
  stage.className = state.view;
  const orders = [view.panels, ...(view.orders ?? [])].map(withArrows);
  const tried = [false, true].map((dense) => {
    document.body.classList.toggle("dense", dense);
    reserveSum();
    return arrange(orders, ...measure(panels), leastCell(Object.keys(panels)));
  });
  if (!tried[1] || tried[0]) {
    document.body.classList.remove("dense");
    reserveSum();
  }
  const [known, room] = measure(panels);
  room.scrolls = !tried[0] && !tried[1];
  stage.classList.toggle("scrolls", room.scrolls);
  const { stacks, choices, cell } = tried[0] ?? tried[1] ?? arrangeDown(orders, known, room);
  document.documentElement.style.setProperty("--cell", `${cell}px`);
  document.documentElement.style.setProperty("--label", `${labelWidth(cell)}px`);
  cells = new Map();
  for (const [name, { element: section, grid, blocks, matrix, sizes }] of Object.entries(panels)) {
    section.style.setProperty("--cell", `${cellOf(known[name], cell, room)}px`);
    if (matrix) {
      const { strip: rows } = choices[name];
      for (let from = 0; from < g.OH; from += rows)
        grid.append(make("div", { className: "block" }, strip(name, view.around, from, Math.min(from + rows, g.OH))));
      continue;
    }
    grid.style.gridTemplateColumns = `repeat(${choices[name].beside}, max-content)`;
    const from = baseOf(name) === "x" ? [-g.PH, -g.PW] : [0, 0];
    for (const { first, what } of blocks)
      grid.append(make("div", { className: "block" }, ...(what ? [make("span", { textContent: what })] : []), image(name, first, sizes, from)));
  }
  stage.replaceChildren();
  const arrow = ([sign, what], className) => make("div", { className: `arrow ${className}`, innerHTML: `<b>${sign}</b> <span>${what}</span>` });
  stacks.forEach((stack, s) => {
    const made = make("div", { className: "stack" });
    stack.forEach(({ name, arrow: sign }, i) => {
      if (sign && i > 0) made.append(arrow(["↓", sign[1]], "down"));
      if (sign && i === 0 && s > 0) stage.append(arrow(sign, "beside"));
      made.append(panels[name].element);
    });
    stage.append(made);
  });
}

// The smallest cell whose number can be read, by its length, or touched, where the window is that of a phone.
function leastCell(names) {
  const longest = Math.max(...names.flatMap((name) => [arrays[`${name}_padded`] ?? arrays[name]].flat(Infinity)).map((n) => text(n).length));
  return Math.max(CELLS.least[longest], window.innerWidth < 700 ? CELLS.touched : 0);
}

// What the layout must know of the panels, which have no cells yet, and the room for them.
function measure(panels) {
  const stage = element("stage"), footer = document.querySelector("footer");
  stage.replaceChildren(...Object.values(panels).map((each) => each.element));
  stage.classList.add("measured");
  const size = (e) => (e.textContent && e.offsetHeight ? { width: e.scrollWidth, height: Math.ceil(e.getBoundingClientRect().height) } : NOTHING);
  const known = Object.entries(panels).map(([name, { title, note, matrix, blocks, beside, sizes }]) => {
    const columns = matrix ? g.OH : sizes[1]; // a strip is a number of output rows
    const longest = Math.max(0, ...blocks.map(({ what }) => what.length));
    const label = longest ? { width: 8 * longest, height: 20 } : NOTHING;
    return [name, { title: size(title), note: size(note), matrix, blocks: blocks.length, beside, rows: sizes[0], columns, label }];
  });
  stage.classList.remove("measured");
  const top = stage.getBoundingClientRect().top + window.scrollY, below = parseFloat(getComputedStyle(stage.parentElement).paddingBottom);
  const arrow = document.body.classList.contains("dense") ? GAP.shortArrow : GAP.arrow;
  const room = { width: stage.clientWidth, height: window.innerHeight - top - below - footer.offsetHeight, arrow };
  return [Object.fromEntries(known), room];
}

const NOTHING = { width: 0, height: 0 };
// ["w", "x", ["→", "im2col"], "columns"] as parts of the layout: an arrow belongs to the panel that it points to.
function withArrows(panels) {
  const parts = [];
  let arrow = null;
  for (const each of panels)
    if (Array.isArray(each)) arrow = each;
    else {
      parts.push({ name: each, arrow });
      arrow = null;
    }
  return parts;
}

function notes(name) {
  const padded = g.PH > 0 || g.PW > 0;
  if (state.view === "all") return "";
  if (name === "x" && padded) return state.view === "pool" ? "Hatched: padding. It never wins." : "Hatched: padding, zeros.";
  if (name === "dx" && padded && ["input", "rotated"].includes(state.view)) return "Hatched: what lands on the padding is cut off.";
  if (name === "dw") return `A bias, added to every output, gets the sum of dy: <i>db</i> = ${arrays.db.map(text).join(", ")}`;
  if (name === "y" && state.view === "forward") {
    const size = (s, k, st, p, d) => `⌊(${s} + 2·${p} − ${d}·(${k} − 1) − 1) / ${st}⌋ + 1 = ${outputSize(s, k, st, p, d)}`;
    const rows = size(g.H, g.KH, g.SH, g.PH, g.DH), columns = size(g.W, g.KW, g.SW, g.PW, g.DW);
    return rows === columns ? `Size: ${rows}` : `Rows: ${rows}<br>Columns: ${columns}`;
  }
  return "";
}

function makeForm() {
  const form = element("geometry"), given = state.geometry[kind()];
  form.replaceChildren();
  for (const [name, value] of Object.entries(given)) {
    if (kind() === "pool" && !Array.isArray(value)) continue;
    const fields = [value].flat().map((number, i, all) => {
      const [min, max] = DATA.limits[name];
      const what = all.length > 1 ? `${name}, ${["rows", "columns"][i]}` : name;
      const input = make("input", { type: "number", min, max, value: number, id: `${name}-${i}` });
      input.setAttribute("aria-label", what);
      return input;
    });
    form.append(make("fieldset", {}, make("legend", { textContent: name }), ...fields.flatMap((f, i) => (i ? ["×", f] : [f]))));
  }
}

function readForm() {
  const given = structuredClone(state.geometry[kind()]);
  for (const name of Object.keys(given)) {
    if (!element(`${name}-0`)) continue;
    const read = (i) => element(`${name}-${i}`).valueAsNumber;
    given[name] = Array.isArray(given[name]) ? [read(0), read(1)] : read(0);
  }
  const wrong = complaint(given, kind() === "pool");
  element("error").textContent = wrong ? `Nothing changed. ${wrong}` : "";
  if (wrong) return;
  state.geometry[kind()] = given;
  build();
}

function build() {
  pause();
  compute();
  element("caption").innerHTML = VIEWS[state.view].caption;
  element("check").innerHTML = check();
  for (const tab of element("views").children) tab.setAttribute("aria-selected", tab.dataset.view === state.view);
  element("player").querySelector("#unit-label").hidden = !["input", "all"].includes(state.view);
  state.step = null;
  walk = makeWalk();
  element("progress").max = walk.length;
  render();
  state.selected = keptSelection() ?? middle(VIEWS[state.view].start[0]);
  paint();
}

// All that depends on the size of the window.
function render() {
  place();
  for (const grid of document.querySelectorAll("[role=grid]")) {
    const inside = [...grid.querySelectorAll("[role=gridcell]")].find((td) => !td.plain.endsWith("pad"));
    if (inside) inside.tabIndex = 0;
  }
  painted = { step: undefined, marks: new Map() };
}

// The line below gets the height of the longest sum, so that it never grows over the cells.
function reserveSum() {
  const sum = element("sum"), kept = state.selected, longest = new Map();
  sum.style.height = "auto";
  // A negative number has brackets.
  const characters = ({ o, c, k, l, i, j }) => 5 + 2 * (arrays.dy[o][i][j] < 0) + (arrays.w ? 2 * (arrays.w[o][c][k][l] < 0) : 0);
  for (const [key, list] of termsAt) {
    const [base, index] = key.split(":"), length = list.reduce((sum, term) => sum + characters(term), 0);
    if (length > (longest.get(base)?.length ?? 0)) longest.set(base, { length, index: index.split(",").map(Number) });
  }
  let most = 0;
  for (const name of VIEWS[state.view].panels)
    if (!Array.isArray(name)) {
      state.selected = { name, index: longest.get(baseOf(name)).index };
      showSum(sumText());
      most = Math.max(most, sum.offsetHeight);
    }
  state.selected = kept;
  sum.style.height = `${Math.min(most, Math.floor(window.innerHeight * 0.3))}px`;
  document.documentElement.style.scrollPaddingBottom = `${document.querySelector("footer").offsetHeight + 8}px`;
}

function showSum(html) {
  const sum = element("sum");
  sum.innerHTML = html;
  sum.classList.toggle("many", sum.querySelectorAll(".factor").length > 24);
}

// The selection that the last view left, where this one has its cell.
function keptSelection() {
  if (!state.selected) return null;
  const base = baseOf(state.selected.name);
  const wanted = [VIEWS[state.view].result, state.selected.name, base, `d${base}`].filter((n) => baseOf(n) === base);
  const name = wanted.find((n) => cells.has(`${n}:${state.selected.index}`));
  return name ? { name, index: state.selected.index } : null;
}

// Where a view begins: in the middle; for the input, at a number that lies in many windows.
function middle(name) {
  if (baseOf(name) === "x") {
    const uses = (index) => termsOf({ name, index }).length;
    const all = range(g.H).flatMap((row) => range(g.W).map((column) => [0, row, column]));
    return { name, index: all.reduce((best, index) => (uses(index) > uses(best) ? index : best)) };
  }
  const sizes = { w: [g.KH, g.KW], y: [g.OH, g.OW] }[baseOf(name)].map((n) => Math.floor((n - 1) / 2));
  return { name, index: [...(baseOf(name) === "w" ? [0, 0] : [0]), ...sizes] };
}

// --- painting ----------------------------------------------------------------------------------------------

let painted; // { step, marks }: what the cells show. A pointer that moves changes few of them, and only those are touched.

function paint() {
  const walking = state.step !== null;
  const step = walking && state.step > 0 ? walk[state.step - 1] : null;
  const finished = walking && state.step === walk.length && state.timer === null;
  if (painted.step !== state.step) writeNumbers();
  const marks = marksOf(step, finished);
  for (const key of painted.marks.keys()) if (!marks.has(key)) dress(cells.get(key), "");
  for (const [key, classes] of marks) if (painted.marks.get(key) !== classes) dress(cells.get(key), classes);
  painted = { step: state.step, marks };
  showSum(step && !finished ? stepText(step) : sumText());
  element("sum").setAttribute("aria-live", state.timer === null ? "polite" : "off");
  element("progress").value = state.step ?? walk.length;
  element("count").textContent = walking ? `step ${state.step} of ${walk.length}` : `${walk.length} steps`;
  element("play").textContent = state.timer === null ? "▶ Play" : "⏸ Pause";
  element("play").setAttribute("aria-label", state.timer === null ? "Play" : "Pause");
}

// Views whose walk finds one number of the result after the other; the others add to all of it.
const findsOneByOne = () => ["forward", "rotated"].includes(state.view);

function writeNumbers() {
  const view = VIEWS[state.view], walking = state.step !== null, totals = walking ? partial(state.step) : null;
  for (const entry of cells.values()) {
    const { name, index } = entry;
    let number = value(name, index), empty = false;
    if (walking && name === view.result) {
      empty = findsOneByOne() && !(index in totals);
      number = totals[index] ?? 0;
    }
    if (walking && name === "columns" && state.view === "forward") empty = index[1] >= state.step;
    const shown = empty ? "·" : text(number);
    if (shown === entry.text) continue;
    entry.text = shown;
    entry.size = ["", " long", " longer"][Math.max(0, Math.min(2, shown.length - 2))] + (empty ? " empty" : "");
    for (const td of entry.elements) {
      td.textContent = shown;
      if (td.getAttribute("role")) td.setAttribute("aria-label", `${label(name, index)} is ${empty ? "not yet known" : shown}`);
    }
    dress(entry, entry.marks);
  }
}

function dress(entry, marks) {
  entry.marks = marks;
  for (const td of entry.elements) {
    td.className = td.plain + entry.size + marks;
    if (td.getAttribute("role")) td.setAttribute("aria-selected", marks.includes(" selected"));
  }
}

// The classes of the cells that are lit, selected and so on, by "name:index".
function marksOf(step, finished) {
  const marks = new Map(), { selected } = state, result = VIEWS[state.view].result;
  const mark = (key, what) => {
    if (cells.has(key)) marks.set(key, (marks.get(key) ?? "") + what);
  };
  const lit = new Set(), winners = new Set(), ties = new Set();
  if (state.view === "pool") {
    routes(lit, winners, ties);
    for (const key of winners) if (key.startsWith("d")) lit.add(key);
  }
  for (const t of litTerms(step))
    for (const base of state.view === "pool" ? ["x", "y"] : Object.keys(indexIn)) {
      const at = indexIn[base](t);
      lit.add(`${base}:${at}`);
      if (state.view !== "pool") lit.add(`d${base}:${at}`);
    }
  for (const key of lit) mark(key, " lit");
  if (state.view === "rotated" && selected.name === "dx") for (const key of windowOf(selected.index)) if (!lit.has(key)) mark(key, " window");
  for (const key of winners) mark(key, " winner");
  for (const key of ties) mark(key, " tie");
  if (step && !finished && !findsOneByOne())
    for (const [at, number] of sumUp(step.added)) {
      mark(`${result}:${at}`, " fresh");
      for (const td of cells.get(`${result}:${at}`)?.elements ?? []) td.dataset.added = (number < 0 ? "" : "+") + text(number);
    }
  mark(`${selected.name}:${selected.index}`, " selected");
  return marks;
}

// What lies under the rotated kernel, for a number of dx, and the kernels themselves.
function windowOf([c, row, column]) {
  const keys = [];
  for (let o = 0; o < g.O; o++)
    for (let k = 0; k <= g.RH; k++)
      for (let l = 0; l <= g.RW; l++) keys.push(`spread:${o},${row + g.PH + k},${column + g.PW + l}`, `rotated:${o},${c},${k},${l}`);
  return keys;
}

// In a step, the products that it adds up; else those of the selected cell.
function litTerms(step) {
  if (!step) return termsOf(state.selected);
  if (step.selected.name === "dcolumns" || findsOneByOne()) return termsOf(step.selected);
  return terms.filter((t) => t.p === step.p);
}

// Of max pooling: only the winner of a window passes a gradient on.
function routes(lit, winners, ties) {
  const { name, index } = state.selected, fromInput = baseOf(name) === "x";
  for (const t of termsOf(state.selected)) {
    const winner = arrays.winners[t.i][t.j];
    if (!winner) continue;
    const won = winner.row === t.row && winner.column === t.column, place = `0,${t.row},${t.column}`;
    if (won) winners.add(`x:${place}`).add(`dx:${place}`);
    else if (!fromInput && !isPadding("x", [0, t.row, t.column]) && arrays.x[0][t.row][t.column] === arrays.y[0][t.i][t.j])
      ties.add(`x:${place}`);
    if (fromInput && won) winners.add(`y:0,${t.i},${t.j}`).add(`dy:0,${t.i},${t.j}`);
  }
  if (!fromInput) lit.add(`y:${index}`);
}

const sumUp = (added) => {
  const totals = new Map();
  for (const [index, number] of added) totals.set(String(index), (totals.get(String(index)) ?? 0) + number);
  return totals;
};

// --- the line below ----------------------------------------------------------------------------------------

const factor = (name, number) =>
  `<span class="factor ${baseOf(name)}${number === 0 ? " zero" : ""}">${inBrackets(number)}</span>`;
const symbol = (name, index) => `<var>${label(name, index)}</var>`;
const result = (number) => `<span class="result" data-value="${number}">${text(number)}</span>`;

function productSum(name, index, list, [a, b], index_a, index_b) {
  const shown = list.map((t) => {
    const first = value(a, index_a(t)), second = value(b, index_b(t));
    return `<span class="term" data-value="${first * second}">${factor(a, first)}·${factor(b, second)}</span>`;
  });
  return `${symbol(name, index)} = ${shown.join(" + ") || "nothing"} = ${result(value(name, index))}`;
}

function sumText() {
  const { name, index } = state.selected, list = termsOf(state.selected);
  if (state.view === "pool") return poolText(name, index, list);
  const backward = state.view === "all" ? name === "x" || name.startsWith("d") : false;
  const windows = `${list.length / (baseOf(name) === "x" ? g.O : 1)}`;
  const many = (n, what) => `${n} ${what}${Number(n) === 1 ? "" : "s"}`;
  switch (name) {
    case "y":
      return `${productSum(name, index, list, ["w", "x"], indexIn.w, indexIn.x)}
        <br><small>kernel · window, in the order of the column; dotted: a zero</small>`;
    case "dw":
      return `${productSum(name, index, list, ["x", "dy"], indexIn.x, indexIn.y)}
        <br><small>what the kernel's number met · the gradient of that output, over all ${many(list.length, "output")}</small>`;
    case "dcolumns": {
      const home = indexIn.x(list[0]);
      return `${productSum(name, index, list, ["w", "dy"], indexIn.w, indexIn.y)}, and goes home to ${symbol("dx", home)}
        ${isPadding("x", home) ? "in the padding, where it is cut off" : ""}`;
    }
    case "dx":
      return inputText(index, list, state.view !== "rotated");
    case "spread":
      if (list.length) return `${symbol("dy", indexIn.y(list[0]))} = ${result(value(name, index))} lies under the kernel for
        ${many(list.length / g.C, "number")} of <var>dx</var>, as many as the kernel has.`;
      return `${result(0)}: a zero that was put in, ${zeroText(index)}.`;
    case "rotated":
      if (list.length) return `${symbol("w", indexIn.w(list[0]))} = ${result(value(name, index))}, turned by 180°, stands at
        [${index.slice(2).join(", ")}] of the rotated kernel.`;
      return `${result(0)}: a hole of the kernel, from the dilation ${g.DH} × ${g.DW}.`;
    case "columns": {
      const home = indexIn.x(list[0]), [r, p] = index, { k, l, i, j } = list[0];
      const where = (o, s, t, d, pad) => `${o}·${s} + ${t}·${d} − ${pad}`;
      return `${symbol(name, index)} = <var>x</var>[${g.C > 1 ? `${home[0]}, ` : ""}${where(i, g.SH, k, g.DH, g.PH)},
        ${where(j, g.SW, l, g.DW, g.PW)}] = ${symbol("x", home)} = ${result(value("columns", index))}
        <br><small>output position · stride + kernel position · dilation − padding${isPadding("x", home) ? ": in the padding" : ""}</small>`;
    }
    case "x":
      if (backward) return inputText(index, list);
      return `${symbol(name, index)} = ${result(value(name, index))} lies in ${many(windows, "window")}, so im2col copies it
        ${windows === "1" ? "once" : `${windows} times`}${windows === "0" ? ": no output knows it, and its gradient is 0" : ""}.
        <br><small>On the way back, the gradients of all copies will add (view 3).</small>`;
    case "w":
      return `${symbol(name, index)} = ${result(value(name, index))} meets one number of every window: a row of the columns.
        <br><small>${state.view === "input" ? "It takes the gradient of every output back to another place of dx." : "On the way back, it will receive from every output (view 2)."}</small>`;
    case "dy":
      return state.view === "weight"
        ? `${symbol(name, index)} = ${result(value(name, index))}, times its whole window, is added to <var>dw</var>. Press Play to see it.`
        : `${symbol(name, index)} = ${result(value(name, index))}, times the whole kernel, is added to its window in <var>dx</var>. Press Play to see it.`;
  }
  return "";
}

// Why there is a zero in dy with zeros.
function zeroText([, row, column]) {
  const beyond = (at, reach, stride, count) => at < reach || at > reach + stride * (count - 1);
  if (!beyond(row, g.RH, g.SH, g.OH) && !beyond(column, g.RW, g.SW, g.OW)) return "between the gradients, because of the stride";
  const left = [g.H + 2 * g.PH - g.RH - 1 - g.SH * (g.OH - 1), g.W + 2 * g.PW - g.RW - 1 - g.SW * (g.OW - 1)];
  const around = `around the gradients, ${g.RH} × ${g.RW} on each side, as far as a window reaches`;
  return left.some(Boolean) ? `${around}, and ${left[0]} × ${left[1]} more at the end for what lies behind the last window` : around;
}

// The sum that col2im forms, each number with its origin.
function inputText(index, list, throughColumns = true) {
  const copies = new Map();
  for (const t of list) copies.set(`${t.r},${t.p}`, [...(copies.get(`${t.r},${t.p}`) ?? []), t]);
  const shown = [...copies.values()].map((group) => {
    const [{ r, p }] = group;
    const inner = group.map((t) => `${factor("w", value("w", indexIn.w(t)))}·${factor("dy", value("dy", indexIn.y(t)))}`);
    const sum = group.length > 1 ? `(${inner.join(" + ")})` : inner[0];
    return `<span class="term" data-value="${arrays.dcolumns[r][p]}">${sum}</span>`;
  });
  const values = [...copies.values()].map(([{ r, p }]) => factor("columns", arrays.dcolumns[r][p]));
  const through = throughColumns && shown.length > 1 ? `${values.join(" + ")} = ` : "";
  const total = value("dx", index);
  const end = isPadding("dx", index) ? "<small>This is padding: the sum is cut off.</small>"
    : shown.length ? `<small>kernel · gradient, one product for each window that holds ${label("x", index)}: ${shown.length} of them</small>`
    : "<small>No window holds it: no gradient.</small>";
  return `${symbol("dx", index)} = ${shown.join(" + ") || "nothing"} = ${through}${result(total)}<br>${end}`;
}

function poolText(name, index, list) {
  if (baseOf(name) === "y") {
    const winner = arrays.winners[index[1]][index[2]];
    const window = list.filter((t) => !isPadding("x", indexIn.x(t))).map((t) => factor("x", value("x", indexIn.x(t))));
    if (!winner) return `${symbol("y", index)} = ${result(-Infinity)}: there is only padding in its window.`;
    const place = [0, winner.row, winner.column];
    return `${symbol("y", index)} = max(${window.join(", ")}) = <b>${text(value("y", index))}</b>, ★ ${symbol("x", place)}.
      Back: ${symbol("dy", index)} = ${result(value("dy", index))} goes to ${symbol("dx", place)}.`;
  }
  const won = list.filter((t) => {
    const winner = arrays.winners[t.i][t.j];
    return winner && winner.row === t.row && winner.column === t.column;
  });
  const shown = won.map((t) => `<span class="term" data-value="${value("dy", indexIn.y(t))}">${factor("dy", value("dy", indexIn.y(t)))}</span>`);
  if (isPadding("x", index)) return `Padding: it never wins.`;
  return `${symbol("dx", index)} = ${shown.join(" + ") || "nothing"} = ${result(value("dx", index))}
    <br><small>${symbol("x", index)} lies in ${list.length} ${list.length === 1 ? "window" : "windows"} and is the largest (★) of ${won.length}</small>`;
}

function stepText(step) {
  const before = partial(state.step - 1), name = VIEWS[state.view].result, { selected, p } = step;
  if (findsOneByOne()) return sumText();
  const [, i, j] = selected.name === "dcolumns" ? [0, Math.floor(p / g.OW), p % g.OW] : selected.index;
  const shown = [...sumUp(step.added)].map(([at, number]) => {
    const index = at.split(",").map(Number), old = before[at] ?? 0;
    return `<span class="term">${symbol(name, index)} ${text(old)} + ${factor(name === "dw" || state.view === "pool" ? "y" : "columns", number)} = <b>${text(old + number)}</b></span>`;
  });
  const source = range(g.O).map((o) => `${symbol("dy", [o, i, j])} = ${text(arrays.dy[o][i][j])}`).join(", ");
  const what = {
    weight: `${source}, times its window, is added to the kernel's gradient:`,
    input: `${source}, times the kernel, is added to its window:`,
    all: `${source}, times the kernel, is added to its window:`,
    pool: `${source} goes to the winner of its window:`,
  }[state.view];
  const most = shown.length > 9 ? [...shown.slice(0, 8), "…"] : shown;
  return `${selected.name === "dcolumns" ? `${symbol("dcolumns", selected.index)} is added where im2col took it from:` : what}
    <br>${most.join(" &nbsp; ") || "nobody"}`;
}

// --- acting ------------------------------------------------------------------------------------------------

function select(name, index) {
  if (state.step === null && name === state.selected.name && String(index) === String(state.selected.index)) return;
  state.selected = { name, index };
  if (state.step !== null) state.step = null;
  paint();
}

function goTo(step) {
  state.step = Math.max(0, Math.min(step, walk.length));
  if (state.step > 0) state.selected = walk[state.step - 1].selected;
  paint();
}

function play() {
  if (state.timer !== null) return pause();
  if (state.step === null || state.step === walk.length) goTo(0);
  state.timer = setInterval(() => {
    if (state.step + 1 >= walk.length) {
      goTo(walk.length);
      pause();
    } else goTo(state.step + 1);
  }, Number(element("speed").value));
  paint();
}

function pause() {
  clearInterval(state.timer);
  const was = state.timer !== null;
  state.timer = null;
  if (was) paint();
}

function show(view) {
  pause();
  const changesForm = (view === "pool") !== (state.view === "pool");
  state.view = view;
  // A view begins with the sum that it is about: of the cell that the last one left, if it has such a sum.
  const itsOwn = state.selected && baseOf(state.selected.name) === baseOf(VIEWS[view].result);
  if (changesForm || !(itsOwn || view === "all")) state.selected = null;
  element("error").textContent = "";
  makeForm();
  build();
}

function indexOf(td) {
  return td.dataset.index.split(",").map(Number);
}

function focusCell(td) {
  for (const other of td.closest("[role=grid]").querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
  td.tabIndex = 0;
  td.focus();
}

// The cell that lies in the direction of the arrow, by where it is on the screen: the cells of one row, or column, first.
function neighbour(td, key) {
  const here = td.getBoundingClientRect();
  const sideways = key === "ArrowLeft" || key === "ArrowRight", sign = key === "ArrowLeft" || key === "ArrowUp" ? -1 : 1;
  let best = null, least = Infinity;
  for (const other of td.closest("[role=grid]").querySelectorAll("[role=gridcell]")) {
    const there = other.getBoundingClientRect();
    const dx = there.left - here.left, dy = there.top - here.top;
    const along = sign * (sideways ? dx : dy), across = Math.abs(sideways ? dy : dx);
    if (along > 1 && across < 2 && along < least) [best, least] = [other, along];
  }
  return best;
}

// --- links --------------------------------------------------------------------------------------------------

// "#view=input&cell=dx:0,1,2" opens a view with one cell selected. Parts of the geometry may follow: "&stride=1,2".
function linkTo({ name, index }) {
  const own = Object.entries(state.geometry[kind()]).filter(([n, v]) => String(v) !== String(DATA.geometry[kind()][n]));
  return `#view=${state.view}&cell=${name}:${index}${own.map(([n, v]) => `&${n}=${v}`).join("")}`;
}

function followLink() {
  if (location.hash.length < 2) return;
  const asked = new URLSearchParams(location.hash.slice(1)), view = asked.get("view") ?? state.view, wanted = asked.get("cell");
  const refuse = (what) => (element("error").textContent = `Not what the link says. ${what}`);
  if (!Object.hasOwn(VIEWS, view)) return refuse(`view: expected ${Object.keys(VIEWS).join(", ")}, got ${view}`);
  const pool = view === "pool", of = pool ? "pool" : "conv", given = structuredClone(DATA.geometry[of]);
  for (const [name, numbers] of asked)
    if (name in given) given[name] = Array.isArray(given[name]) ? numbers.split(",").map(Number) : Number(numbers);
  const wrong = Object.values(given).some((v) => Array.isArray(v) && v.length !== 2) ? "geometry: expected two numbers" : complaint(given, pool);
  if (wrong) return refuse(wrong);
  state.geometry[of] = given;
  show(view);
  if (wanted === null) return;
  if (!cells.has(wanted)) return refuse(`cell: there is no ${wanted} in this view`);
  const { name, index, elements } = cells.get(wanted);
  select(name, index);
  elements.find((td) => td.getAttribute("role")).scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (key === " " && !["BUTTON", "SELECT"].includes(target.tagName)) {
    event.preventDefault();
    return play();
  }
  if (target.tagName === "INPUT" || target.tagName === "SELECT") return;
  if (target.getAttribute("role") === "tab" && ["ArrowLeft", "ArrowRight"].includes(key)) {
    const tabs = [...element("views").children], next = tabs.indexOf(target) + (key === "ArrowLeft" ? -1 : 1);
    const tab = tabs[(next + tabs.length) % tabs.length];
    tab.focus();
    return show(tab.dataset.view);
  }
  const number = Object.keys(VIEWS)[Number(key) - 1];
  if (number) return show(number);
  if (target.getAttribute("role") === "gridcell" && key.startsWith("Arrow")) {
    event.preventDefault();
    const next = neighbour(target, key);
    if (next) focusCell(next);
  }
});

const cellAt = (event) => event.target.closest?.("td[data-name]");
element("stage").addEventListener("pointerover", (event) => {
  const td = cellAt(event);
  const walks = state.step !== null && state.step < walk.length; // a hand that passes by does not end it; a click does
  if (td && state.timer === null && !walks) select(td.dataset.name, indexOf(td));
});
element("stage").addEventListener("click", (event) => {
  const td = cellAt(event);
  if (!td) return;
  pause();
  if (td.getAttribute("role") === "gridcell") focusCell(td);
  select(td.dataset.name, indexOf(td));
  history.replaceState(null, "", linkTo(state.selected));
});
element("stage").addEventListener("focusin", (event) => {
  const td = cellAt(event);
  if (!td) return;
  pause();
  select(td.dataset.name, indexOf(td));
});

element("geometry").addEventListener("change", readForm);
element("geometry").addEventListener("submit", (event) => event.preventDefault());
element("play").addEventListener("click", play);
element("rewind").addEventListener("click", () => (pause(), goTo(0)));
element("back").addEventListener("click", () => (pause(), goTo((state.step ?? walk.length) - 1)));
element("next").addEventListener("click", () => (pause(), goTo((state.step ?? 0) + 1)));
element("progress").addEventListener("input", (event) => (pause(), goTo(event.target.valueAsNumber)));
element("unit").addEventListener("change", build);
element("speed").addEventListener("change", () => state.timer !== null && (pause(), play()));
window.addEventListener("resize", () => (render(), paint()));
window.addEventListener("hashchange", followLink);

Object.entries(VIEWS).forEach(([name, { title }], i) => {
  const tab = make("button", { type: "button", role: "tab", innerHTML: `<b>${i + 1}</b>${title}` });
  tab.dataset.view = name;
  tab.addEventListener("click", () => show(name));
  element("views").append(tab);
});
show("forward");
followLink();
