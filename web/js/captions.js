// A text box says above its text which input it is, on the canvas, where ComfyUI says it in empty boxes alone.
// Nodes 2.0 draws boxes and labels of its own.
import { resizeWith } from "./node_size.js";

const HEIGHT = 14; // pixels
const TEXT_HEIGHT = 50; // at least, as ComfyUI has it

function drawn(words) {
  const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
  for (const [name, value] of Object.entries({ x: 4, y: 11, "font-family": "sans-serif", "font-size": 10, fill: "gray" }))
    text.setAttribute(name, value);
  text.textContent = words;
  const image = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  image.setAttribute("width", 400);
  image.setAttribute("height", HEIGHT);
  image.append(text);
  return new XMLSerializer().serializeToString(image);
}

function addCaption({ element: box, name, label, options }) {
  const words = label ?? name;
  box.ariaLabel = words;
  if (box.placeholder === name) box.placeholder = "";
  Object.assign(box.style, {
    borderTop: `${HEIGHT}px solid transparent`, // the text does not scroll into it
    backgroundImage: `url("data:image/svg+xml,${encodeURIComponent(drawn(words))}")`,
    backgroundOrigin: "border-box",
    backgroundRepeat: "no-repeat",
  });
  options.getMinHeight = () => HEIGHT + TEXT_HEIGHT;
}

export function addCaptions(node) {
  const boxes = node.widgets?.filter((widget) => widget.element instanceof HTMLTextAreaElement) ?? [];
  if (boxes.length) resizeWith(node, () => boxes.forEach(addCaption));
}
