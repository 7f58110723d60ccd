// Shows the recipes and covers of the saved edits or presets that a node's widgets choose, before any run.
import { api } from "../../../scripts/api.js";
import { fitWith, resizeWith } from "./node_size.js";
import { NONE } from "./stack_rows.js";
import { word } from "./words.js";

const HEIGHT = 76; // pixels of a card
const GAP = 4;

function styled(tag, style, text = "") {
  const element = document.createElement(tag);
  Object.assign(element.style, style);
  element.textContent = text;
  return element;
}

function cardOf({ recipe, cover, problem }, name, on) {
  const card = styled("div", {
    display: "flex",
    flex: `0 0 ${HEIGHT}px`,
    gap: "8px",
    boxSizing: "border-box",
    padding: "4px",
    borderRadius: "4px",
    background: "var(--comfy-input-bg)",
    color: "var(--input-text)",
    font: "11px/16px sans-serif",
    opacity: on ? 1 : 0.4,
  });
  if (cover) {
    const picture = styled("img", { width: `${HEIGHT - 8}px`, height: `${HEIGHT - 8}px`, objectFit: "cover", borderRadius: "3px" });
    picture.src = cover;
    card.append(picture);
  }
  const words = styled("div", { flex: 1, minWidth: 0, overflow: "auto", whiteSpace: "pre-wrap", overflowWrap: "anywhere" });
  if (name) words.append(styled("div", { opacity: 0.6 }, name));
  words.append(styled("div", {}, problem ?? recipe));
  card.append(words);
  return card;
}

async function described(what, name) {
  const answer = await api.fetchApi(`/edit_assumption/${what}?name=${encodeURIComponent(name)}`);
  return answer.json();
}

// `what` is the route that describes what is chosen. `rowsOf` gives rows of widgets: first the one that chooses, third a switch.
export function addChosenEdits(node, what, rowsOf) {
  const rows = rowsOf(node);
  const element = styled("div", { display: "flex", flexDirection: "column", gap: `${GAP}px`, width: "100%", overflow: "hidden" });
  let count = 1;
  const height = () => count * (HEIGHT + GAP);
  const widget = node.addDOMWidget("chosen", "chosen", element, {
    getValue: () => element.textContent,
    setValue: () => {}, // loaded workflows have no say in it
    getMinHeight: height,
    getMaxHeight: height,
    serialize: false, // not sent as an input
  });
  widget.serialize = false; // not saved among the values of inputs

  let latest = 0;
  const show = async (resized) => {
    const turn = ++latest;
    const chosen = rows.filter(([choice]) => choice.value && choice.value !== NONE);
    const cards = await Promise.all(
      chosen.map(async (row) => {
        const [choice, , on] = row;
        return cardOf(await described(what, choice.value), row.length > 1 ? choice.value : "", on?.value ?? true);
      }),
    );
    if (turn !== latest) return; // chosen anew meanwhile
    resized(node, () => {
      element.replaceChildren(...(cards.length ? cards : [cardOf({ recipe: word("chosen") }, "", false)]));
      count = Math.max(1, cards.length);
      element.style.minHeight = `${height()}px`;
    });
  };
  for (const shown of rows.flatMap((row) => [row[0], row[2]]).filter(Boolean)) {
    const { callback } = shown;
    shown.callback = function () {
      callback?.apply(this, arguments);
      show(resizeWith);
    };
  }
  for (const event of ["onConfigure", "onExecuted"]) {
    const before = node[event];
    node[event] = function () {
      before?.apply(this, arguments);
      show(fitWith);
    };
  }
  show(fitWith);
}
