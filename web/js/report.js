// Shows under each of the pack's nodes what it did: the text that the node sends when it has run. The browser keeps it for
// as long as its tab is open, since ComfyUI sends it again only when the node runs again.
import { word } from "./words.js";

const NAME = "report";
const LINE = 16; // pixels
const LETTER = 6.2;
const EDGE = 12;

function textHeight(text, width) {
  const letters = Math.max(20, (width - 50) / LETTER);
  return EDGE + LINE * text.split("\n").reduce((lines, line) => lines + Math.max(1, Math.ceil(line.length / letters)), 0);
}

function reportElement() {
  const element = document.createElement("div");
  Object.assign(element.style, {
    boxSizing: "border-box",
    width: "100%",
    padding: `${EDGE / 2}px 8px`,
    overflow: "auto",
    whiteSpace: "pre-wrap",
    overflowWrap: "anywhere",
    userSelect: "text",
    fontSize: "11px",
    lineHeight: `${LINE}px`,
    borderRadius: "4px",
    background: "var(--comfy-input-bg)",
    color: "var(--input-text)",
  });
  return element;
}

function place(node) {
  return `EditAssumption.report ${node.graph?.id} ${node.id}`;
}

function show(node, text) {
  const { element } = node.widgets.find((widget) => widget.name === NAME);
  element.textContent = text || word("report");
  element.style.opacity = text ? 1 : 0.6;
  element.style.minHeight = `${textHeight(element.textContent, node.size[0])}px`;
  const [width, height] = node.computeSize();
  node.setSize([Math.max(width, node.size[0]), Math.max(height, node.size[1])]);
  node.setDirtyCanvas(true, true);
}

export function addReport(node) {
  const element = reportElement();
  const widget = node.addDOMWidget(NAME, NAME, element, {
    getValue: () => element.textContent,
    setValue: () => {}, // loaded workflows have no say in it
    getMinHeight: () => textHeight(element.textContent, node.size[0]),
    serialize: false, // not sent as an input
  });
  widget.serialize = false; // not saved among the values of inputs
  const { onExecuted, onConfigure } = node;
  node.onExecuted = function (message) {
    onExecuted?.apply(this, arguments);
    if (!message?.text) return;
    const text = message.text.join("\n");
    sessionStorage.setItem(place(this), text);
    show(this, text);
  };
  node.onConfigure = function () {
    onConfigure?.apply(this, arguments);
    show(this, sessionStorage.getItem(place(this)));
  };
  show(node, "");
}
