// Folds the advanced inputs of a node away on the canvas, where the front end itself does so with Nodes 2.0 alone.
import { resizeWith } from "./node_size.js";
import { word } from "./words.js";

function toggle(node) {
  resizeWith(node, () => {
    node.showAdvanced = !node.showAdvanced; // saved with the workflow by the front end
  });
}

export function addFolding(node) {
  const advanced = node.widgets?.filter((widget) => widget.options?.advanced) ?? [];
  if (!advanced.length) return;
  const folded = { get: () => !LiteGraph.vueNodesMode && !node.showAdvanced, set: () => {}, configurable: true };
  for (const widget of advanced) Object.defineProperty(widget, "hidden", folded);
  const button = node.addWidget("button", "settings", null, () => toggle(node), { canvasOnly: true, serialize: false });
  button.serialize = false; // not saved among the values of inputs
  Object.defineProperty(button, "label", { get: () => word(node.showAdvanced ? "fewer" : "more"), configurable: true });
  node.setSize([node.size[0], node.computeSize()[1]]);
}
