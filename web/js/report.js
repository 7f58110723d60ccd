// The box under each of the pack's nodes: what it did, what it is doing, and whether that still holds for its values.
import { kept } from "./kept.js";
import { madeWith } from "./made.js";
import { word } from "./words.js";

const NAME = "report";
const LINE = 16; // pixels
const LETTER = 6.2;
const EDGE = 12;
const reports = new WeakMap(); // nodes to { text, place }: what was shown, and where it is kept

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

function box(node) {
  return node.widgets?.find((widget) => widget.name === NAME && widget.element);
}

function write(node, text, bright) {
  const { element } = box(node);
  element.style.opacity = bright ? 1 : 0.6;
  if (element.textContent === text) return;
  element.textContent = text;
  element.style.minHeight = `${textHeight(text, node.size[0])}px`;
  const [width, height] = node.computeSize();
  node.setSize([Math.max(width, node.size[0]), Math.max(height, node.size[1])]);
  node.setDirtyCanvas(true, true);
}

// Where the report of a node is kept: one for each set of values that it was run with.
export function place(node, known) {
  return [node.graph?.id, node.id, madeWith(node, known)].join(" ");
}

export function hasReport(node) {
  return Boolean(box(node));
}

export function showDoing(node, text) {
  write(node, text, true);
}

export function setReport(node, place, text) {
  reports.set(node, { text, place });
}

// A report that was sent again, with what is shown of its draws; they stand where nothing is drawn anew.
export function withDrawn(node, text) {
  const shown = reports.get(node)?.text;
  return shown?.startsWith(`${text}\n${word("drawn")}`) ? shown : text;
}

// Adds lines on what pictures have drawn, in the place of earlier ones or behind them; what is shown then.
export function addDrawn(node, lines, goesOn) {
  const shown = reports.get(node);
  if (!shown) return undefined;
  const [report, before = ""] = shown.text.split(`\n${word("drawn")}`);
  const text = [`${report}\n${word("drawn")}${goesOn ? before : ""}`, ...lines].join("\n");
  setReport(node, shown.place, text);
  return reports.get(node);
}

// Shows what belongs to the values as they are; else what was shown, as of other values.
export function refresh(nodes) {
  const [texts, known] = [kept(), new Map()];
  for (const node of nodes) {
    const here = place(node, known);
    if (texts.has(here)) setReport(node, here, texts.get(here));
    const shown = reports.get(node);
    if (!shown) write(node, word("report"), false);
    else if (shown.place === here) write(node, shown.text, true);
    else write(node, `${word("stale")}\n${shown.text}`, false);
  }
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
  write(node, word("report"), false);
}
