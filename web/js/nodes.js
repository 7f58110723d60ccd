// What the pack adds to its nodes in the page.
import { app } from "../../../scripts/app.js";
import { addFolding } from "./folding.js";
import { addReport } from "./report.js";
import { followRuns, refreshAll } from "./runs.js";

const SILENT = new Set([
  "EditAssumptionClipJudge",
  "EditAssumptionComparisonGrid",
  "EditAssumptionLoadPocketModel",
  "EditAssumptionPocketJudge",
]); // have no report

app.registerExtension({
  name: "EditAssumption.Nodes",
  setup: followRuns,
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("EditAssumption")) return;
    addFolding(node);
    if (!SILENT.has(node.comfyClass)) addReport(node);
  },
  afterConfigureGraph: refreshAll,
});
