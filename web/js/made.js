// What a node would be run with: its own values and those of every node before it, as one short number.

function counts(widget) {
  const follows = widget.linkedWidgets?.find((linked) => linked.name === "control_after_generate");
  const moves = follows && follows.value !== "fixed"; // a seed that changes with every run
  const kept = widget.serialize !== false && widget.options?.serialize !== false && widget.type !== "button";
  return kept && !moves && !widget.name.startsWith("$$"); // "$$" are the front end's own, such as previews
}

function values(node) {
  const inner = node.subgraph?._nodes.map(values);
  return [node.type, node.mode, (node.widgets ?? []).filter(counts).map(({ name, value }) => [name, value]), inner];
}

function sum(text) {
  let [one, two] = [7, 11];
  for (let place = 0; place < text.length; place++) {
    one = Math.imul(one ^ text.charCodeAt(place), 2654435761);
    two = Math.imul(two ^ text.charCodeAt(place), 1597334677);
  }
  return `${(one >>> 0).toString(36)}${(two >>> 0).toString(36)}`;
}

// `known` are the sums of nodes that were asked for already.
export function madeWith(node, known = new Map()) {
  if (known.has(node)) return known.get(node);
  known.set(node, ""); // in case it comes before itself
  const before = (node.inputs ?? []).map((input, slot) => {
    const origin = input.link == null ? null : node.getInputNode(slot);
    return origin ? [input.name, node.getInputLink(slot)?.origin_slot, madeWith(origin, known)] : null;
  });
  known.set(node, sum(JSON.stringify([values(node), before])));
  return known.get(node);
}
