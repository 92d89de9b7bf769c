"use strict";

// Where the panels stand and how large a cell is. A panel has a title, blocks of cells (channels, filters), which may
// stand below or beside each other, and a note. The im2col matrix may be cut into strips of output rows. Panels stand
// in stacks, and stacks side by side. All sizes are numbers of cells plus pixels, so nothing has to be drawn to find the
// largest cells with which everything can be seen at once.

const CELLS = { least: { 1: 18, 2: 18, 3: 18, 4: 22 }, touched: 24, enough: 34, most: 64 }; // pixels
const GAP = { block: 10, panel: 12, stack: 16, arrow: 76, shortArrow: 28, arrowDown: 26 };

// The ways to divide a row of parts, { name, arrow }, into stacks, those with the fewest parts below each other first.
// The arrow of a part points to it: from its left if it begins a stack, else from above.
function stacksOf(parts) {
  const gaps = parts.length - 1, found = [];
  for (let below = 0; below < 1 << gaps; below++) {
    const stacks = [[parts[0]]];
    for (let i = 0; i < gaps; i++)
      if (below & (1 << i)) stacks.at(-1).push(parts[i + 1]);
      else stacks.push([parts[i + 1]]);
    found.push(stacks);
  }
  const tallest = (stacks) => Math.max(...stacks.map((stack) => stack.length));
  return found.sort((a, b) => tallest(a) - tallest(b));
}

// Width and height in pixels of what a panel shows, for one choice of its blocks and strips.
function contentSize(panel, choice, cell) {
  const { blocks, rows, columns, label } = panel;
  if (panel.matrix) {
    const { left, right, top, bottom, head, positions } = panel.matrix, strips = Math.ceil(columns / choice.strip);
    const across = choice.strip * positions, sides = (left ? left + 0.3 : 0) + (right ? right + 0.3 : 0);
    const ends = top + (bottom ? bottom + 0.3 : 0), headHeight = head ? Math.max(cell, HEAD) : 0;
    return {
      width: (across + sides) * cell + (head ? labelWidth(cell) : 0) + 2,
      height: strips * ((rows + ends) * cell + headHeight + 2) + (strips - 1) * GAP.block,
    };
  }
  const beside = Math.min(choice.beside, blocks), below = Math.ceil(blocks / beside);
  return {
    width: beside * Math.max(columns * cell + 2, label.width) + (beside - 1) * GAP.block,
    height: below * (rows * cell + 2 + label.height) + (below - 1) * GAP.block,
  };
}

const HEAD = 30; // pixels: an index of two lines
const labelWidth = (cell) => Math.max(40, Math.ceil(0.85 * cell));

// Width and height of the stage.
function stageSize(stacks, panels, choices, cell, room) {
  let width = (stacks.length - 1) * GAP.stack, height = 0;
  stacks.forEach((stack, s) => {
    let across = 0, down = (stack.length - 1) * GAP.panel;
    stack.forEach(({ name, arrow }, i) => {
      const panel = panels[name], size = contentSize(panel, choices[name], cellOf(panel, cell, room));
      if (arrow && i > 0) down += GAP.arrowDown;
      if (arrow && i === 0 && s > 0) width += room.arrow + GAP.stack;
      across = Math.max(across, size.width, panel.title.width, panel.note.width);
      down += size.height + panel.title.height + panel.note.height;
    });
    width += across;
    height = Math.max(height, down);
  });
  return { width, height };
}

// Every way to arrange the blocks: those of one size together, so that a gradient looks like what it belongs to.
function choicesOf(panels) {
  const kinds = new Map();
  for (const [name, panel] of Object.entries(panels)) {
    const kind = panel.matrix ? "matrix" : `${panel.blocks} ${panel.rows} ${panel.columns}`;
    const strips = () => [...new Set(range(panel.columns).map((i) => Math.ceil(panel.columns / (i + 1))))];
    const options = panel.matrix ? strips().map((strip) => ({ strip })) : panel.beside.map((beside) => ({ beside }));
    if (!kinds.has(kind)) kinds.set(kind, { names: [], options });
    kinds.get(kind).names.push(name);
  }
  let all = [{}];
  for (const { names, options } of kinds.values())
    all = all.flatMap((made) => options.map((option) => ({ ...made, ...Object.fromEntries(names.map((n) => [n, option])) })));
  return all;
}

// The largest cell of at most `most` pixels with which the stage fits, or 0 if the least does not.
function largestCell(stacks, panels, choices, room, least, most) {
  const fits = (cell) => {
    const { width, height } = stageSize(stacks, panels, choices, cell, room);
    return width <= room.width && height <= room.height;
  };
  if (!fits(least)) return 0;
  while (most > least) {
    const middle = Math.ceil((least + most) / 2);
    if (fits(middle)) least = middle;
    else most = middle - 1;
  }
  return least;
}

// { stacks, choices, cell } for this room: the first arrangement with cells that are large enough, or that with the
// largest; null if none fits with cells of `least` pixels.
function arrange(orders, panels, room, least) {
  const arrangements = orders.flatMap(stacksOf), choices = choicesOf(panels);
  let best = { cell: 0 };
  for (const stacks of arrangements)
    for (const choice of choices) {
      const cell = largestCell(stacks, panels, choice, room, Math.max(least, best.cell + 1), CELLS.most);
      if (cell > best.cell) best = { stacks, choices: choice, cell };
      if (best.cell >= CELLS.enough) return best;
    }
  return best.cell ? best : null;
}

// Where the page scrolls, an image that is too wide alone has smaller cells than the others.
const cellOf = ({ matrix, columns }, cell, room) =>
  room.scrolls && !matrix ? Math.min(cell, Math.floor((room.width - 2) / columns)) : cell;

// The same for a page that scrolls: the lowest one, with cells of a good size, that is not too wide.
function arrangeDown(orders, panels, room) {
  const arrangements = orders.flatMap(stacksOf), choices = choicesOf(panels);
  let best = { stacks: arrangements.at(-1), choices: choices.at(-1), cell: 12 };
  for (let cell = CELLS.touched; cell >= 12; cell--) {
    let lowest = Infinity;
    for (const stacks of arrangements)
      for (const choice of choices) {
        const { width, height } = stageSize(stacks, panels, choice, cell, room);
        if (width <= room.width && height < lowest) {
          lowest = height;
          best = { stacks, choices: choice, cell };
        }
      }
    if (lowest < Infinity) return best;
  }
  return best;
}
