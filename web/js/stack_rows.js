// Edit Stack shows the rows that are in use, and of the next free one the choice of an edit.
import { resizeWith } from "./node_size.js";

export const NONE = "none";

export function rowsOf(node) {
  const rows = [];
  for (const widget of node.widgets) {
    const number = /^(?:edit|strength|on)_(\d+)$/.exec(widget.name)?.[1];
    if (number) (rows[number - 1] ??= []).push(widget);
  }
  return rows;
}

function isUsed(node, [edit]) {
  return edit.value !== NONE || node.inputs?.some((input) => input.widget?.name === edit.name && input.link != null);
}

function showRows(node, rows) {
  const used = rows.map((row) => isUsed(node, row));
  rows.forEach((row, place) => {
    for (const widget of row) {
      widget.hidden = widget === row[0] ? place > used.lastIndexOf(true) + 1 : !used[place];
      widget.options.hidden = widget.hidden; // where Nodes 2.0 looks
    }
  });
  node.widgets = [...node.widgets]; // Nodes 2.0 looks again
}

export function addStackRows(node) {
  const rows = rowsOf(node);
  const change = () => resizeWith(node, () => showRows(node, rows));
  for (const [edit] of rows) {
    const { callback } = edit;
    edit.callback = function () {
      callback?.apply(this, arguments);
      change();
    };
  }
  const { onConfigure, onConnectionsChange } = node;
  node.onConfigure = function () {
    onConfigure?.apply(this, arguments);
    showRows(node, rows); // the size is the saved one
  };
  node.onConnectionsChange = function () {
    onConnectionsChange?.apply(this, arguments);
    change();
  };
  showRows(node, rows);
  node.setSize([node.size[0], node.computeSize()[1]]);
}
