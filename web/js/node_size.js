// A node stays as much larger than it has to be as the user made it.
export function resizeWith(node, change) {
  const before = node.computeSize()[1];
  change();
  node.setSize([node.size[0], node.size[1] + node.computeSize()[1] - before]);
  node.setDirtyCanvas(true, true);
}

// As large as it was saved, and at least as large as it has to be.
export function fitWith(node, change) {
  change();
  const [width, height] = node.computeSize();
  node.setSize([Math.max(width, node.size[0]), Math.max(height, node.size[1])]);
  node.setDirtyCanvas(true, true);
}
