// Shows under each of the pack's nodes what it did: the text that the node sends when it has run.
import { app } from "../../../scripts/app.js";
import { ComfyWidgets } from "../../../scripts/widgets.js";

const NAME = "report";
const LINE = 14; // pixels, of the font that multiline widgets have
const LETTER = 6;

function textHeight(text, width) {
  const letters = Math.max(20, (width - 40) / LETTER);
  return LINE * text.split("\n").reduce((lines, line) => lines + Math.max(1, Math.ceil(line.length / letters)), 1);
}

function reportWidget(node) {
  const found = node.widgets?.find((widget) => widget.name === NAME);
  if (found) return found;
  const { widget } = ComfyWidgets.STRING(node, NAME, ["STRING", { multiline: true }], app);
  widget.label = "what it did";
  widget.options.getMinHeight = () => textHeight(String(widget.value), node.size[0]);
  widget.options.read_only = true;
  if (widget.inputEl) widget.inputEl.readOnly = true;
  widget.serialize = false; // not saved with the workflow
  widget.options.serialize = false; // not sent as an input
  return widget;
}

app.registerExtension({
  name: "EditAssumption.Report",
  async beforeRegisterNodeDef(nodeType, nodeData) {
    if (!nodeData.name.startsWith("EditAssumption")) return;
    const onExecuted = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (message) {
      onExecuted?.apply(this, arguments);
      if (!message?.text) return;
      reportWidget(this).value = message.text.join("\n");
      const [width, height] = this.computeSize();
      this.setSize([Math.max(width, this.size[0]), Math.max(height, this.size[1])]);
      this.setDirtyCanvas(true, true);
    };
  },
});
