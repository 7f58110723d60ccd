// What the pack adds to its nodes in the page.
import { app } from "../../../scripts/app.js";
import { addFolding } from "./folding.js";
import { addReport } from "./report.js";
import { addStackRows } from "./stack_rows.js";

const SILENT = new Set([
  "EditAssumptionClipJudge",
  "EditAssumptionComparisonGrid",
  "EditAssumptionLoadPocketModel",
  "EditAssumptionPocketJudge",
]); // have no report

app.registerExtension({
  name: "EditAssumption.Nodes",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("EditAssumption")) return;
    addFolding(node);
    if (node.comfyClass === "EditAssumptionStack") addStackRows(node);
    if (!SILENT.has(node.comfyClass)) addReport(node);
  },
});
