// What the pack adds to its nodes in the page.
import { app } from "../../../scripts/app.js";
import { addCaptions } from "./captions.js";
import { addChosenEdits } from "./chosen_edits.js";
import { addFolding } from "./folding.js";
import { addReport } from "./report.js";
import { followRuns, refreshAll } from "./runs.js";
import { addStackRows, rowsOf } from "./stack_rows.js";

const SILENT = new Set([
  "EditAssumptionClipJudge",
  "EditAssumptionComparisonGrid",
  "EditAssumptionLoadPocketModel",
  "EditAssumptionPocketJudge",
]); // have no report

function widgetsOf(node, name) {
  return node.widgets.filter((widget) => widget.name === name);
}

const CHOICES = {
  EditAssumptionLoadEdit: ["saved_edit", (node) => [widgetsOf(node, "edit_name")]],
  EditAssumptionPreset: ["preset", (node) => [widgetsOf(node, "preset")]],
  EditAssumptionStack: ["saved_edit", rowsOf],
}; // what is chosen, and the rows of widgets that choose one each

app.registerExtension({
  name: "EditAssumption.Nodes",
  setup: followRuns,
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("EditAssumption")) return;
    addCaptions(node);
    addFolding(node);
    if (node.comfyClass === "EditAssumptionStack") addStackRows(node);
    if (node.comfyClass in CHOICES) addChosenEdits(node, ...CHOICES[node.comfyClass]);
    if (!SILENT.has(node.comfyClass)) addReport(node);
  },
  afterConfigureGraph: refreshAll,
});
