"use strict";

// The formulas of tinycnn/teaching/reference.py once more, for one image. x[c][row][column] lies on the padded input, whose
// indices begin at −padding: g.PH rows and g.PW columns before the input itself.
// g holds the geometry: C, O, H, W, KH, KW, SH, SW, PH, PW, DH, DW (stride, padding, dilation), OH, OW, and how far a
// window reaches beyond its first number: RH, RW.

function outputSize(size, kernel, stride, padding, dilation) {
  return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
}

const range = (n) => Array.from({ length: n }, (_, i) => i);
const zeros = (n, ...rest) => range(n).map(() => (rest.length ? zeros(...rest) : 0));

// Where the input may be read: 0 in the padding.
function at(x, c, row, column, g) {
  return row >= 0 && row < g.H && column >= 0 && column < g.W ? x[c][row][column] : 0;
}

// Every product w[o][c][k][l] · x[c][row][column] that goes into y[o][i][j]. Convolution and both of its gradients
// are sums over these, of two of the three factors x, w, dy.
function products(g) {
  const all = [];
  for (let i = 0; i < g.OH; i++)
    for (let j = 0; j < g.OW; j++)
      for (let o = 0; o < g.O; o++)
        for (let c = 0; c < g.C; c++)
          for (let k = 0; k < g.KH; k++)
            for (let l = 0; l < g.KW; l++) {
              const row = i * g.SH + k * g.DH - g.PH;
              const column = j * g.SW + l * g.DW - g.PW;
              const r = (c * g.KH + k) * g.KW + l; // row of the im2col matrix ...
              const p = i * g.OW + j; // ... and its column
              all.push({ o, c, k, l, i, j, row, column, r, p });
            }
  return all;
}

// Every window as a column.
function im2col(x, g) {
  const columns = zeros(g.C * g.KH * g.KW, g.OH * g.OW);
  for (const { c, row, column, r, p } of products(g)) columns[r][p] = at(x, c, row, column, g);
  return columns;
}

// y = W · columns, with the kernels as the rows of W.
function conv(columns, w, g) {
  const y = zeros(g.O, g.OH, g.OW);
  for (const { o, c, k, l, i, j, r, p } of products(g)) y[o][i][j] += w[o][c][k][l] * columns[r][p];
  return y;
}

// d_columns = Wᵀ · dy.
function columnGradient(w, dy, g) {
  const dcolumns = zeros(g.C * g.KH * g.KW, g.OH * g.OW);
  for (const { o, c, k, l, i, j, r, p } of products(g)) dcolumns[r][p] += w[o][c][k][l] * dy[o][i][j];
  return dcolumns;
}

// The adjoint of im2col: each number is added where im2col took it from. On the padded input; see crop.
function col2im(dcolumns, g) {
  const dx = zeros(g.C, g.H + 2 * g.PH, g.W + 2 * g.PW);
  for (const { o, c, row, column, r, p } of products(g))
    if (o === 0) dx[c][row + g.PH][column + g.PW] += dcolumns[r][p];
  return dx;
}

function crop(padded, g) {
  return padded.map((image) => image.slice(g.PH, g.PH + g.H).map((line) => line.slice(g.PW, g.PW + g.W)));
}

// dw = dy · columnsᵀ.
function weightGradient(columns, dy, g) {
  const dw = zeros(g.O, g.C, g.KH, g.KW);
  for (const { o, c, k, l, i, j, r, p } of products(g)) dw[o][c][k][l] += columns[r][p] * dy[o][i][j];
  return dw;
}

// dy with SH − 1 and SW − 1 zeros between its numbers, as many around as a window reaches, and at the end those for the
// positions that are left over. On it and the kernel that is rotated by 180° (holes and all), dx on the padded input is a
// convolution of stride 1.
function spreadGradient(dy, g) {
  const spread = zeros(g.O, g.H + 2 * g.PH + g.RH, g.W + 2 * g.PW + g.RW);
  dy.forEach((each, o) => each.forEach((line, i) => line.forEach((number, j) => {
    spread[o][g.RH + i * g.SH][g.RW + j * g.SW] = number;
  })));
  return spread;
}

function rotatedKernel(w, g) {
  const rotated = zeros(g.O, g.C, g.RH + 1, g.RW + 1);
  w.forEach((kernels, o) => kernels.forEach((kernel, c) => kernel.forEach((line, k) => line.forEach((number, l) => {
    rotated[o][c][g.RH - k * g.DH][g.RW - l * g.DW] = number;
  }))));
  return rotated;
}

// The largest of each window, and the row and column where it stands: the first of several, row by row. Padding
// never wins; where there is nothing else, there is no winner, and y is −∞.
function maxPool(x, g) {
  const y = zeros(1, g.OH, g.OW);
  const winners = zeros(g.OH, g.OW);
  for (let i = 0; i < g.OH; i++)
    for (let j = 0; j < g.OW; j++) {
      y[0][i][j] = -Infinity;
      winners[i][j] = null;
    }
  for (const { i, j, row, column } of products(g)) {
    const inside = row >= 0 && row < g.H && column >= 0 && column < g.W;
    if (inside && x[0][row][column] > y[0][i][j]) {
      y[0][i][j] = x[0][row][column];
      winners[i][j] = { row, column };
    }
  }
  return { y, winners };
}

// Each output's gradient goes to its winner, and adds to what arrives there from other windows.
function maxPoolBackward(dy, winners, g) {
  const dx = zeros(1, g.H, g.W);
  for (let i = 0; i < g.OH; i++)
    for (let j = 0; j < g.OW; j++) {
      const winner = winners[i][j];
      if (winner) dx[0][winner.row][winner.column] += dy[0][i][j];
    }
  return dx;
}
