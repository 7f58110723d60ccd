// What the host refuses before anything runs. Beside a running output older pages mark the node, and say nothing.
import { app } from "../../../scripts/app.js";
import { toast } from "./toast.js";
import { word } from "./words.js";

const HOST_SAYS = "Comfy.RightSidePanel.ShowErrorsTab"; // newer pages tell it themselves where this is on

function isOurs(type) {
  return type?.startsWith("EditAssumption");
}

function sentence({ message, details }) {
  return details && !message.includes(details) ? `${message}: ${details}` : message;
}

// `errors` are the answer's node_errors, `graph` what was queued; gives ids of the pack's nodes, and of those that stop
// them, and what is wrong.
export function refusalsOf(errors, graph) {
  const concern = ({ class_type, dependent_outputs }) =>
    isOurs(class_type) || dependent_outputs?.some((output) => isOurs(graph[output]?.class_type));
  const ours = Object.entries(errors ?? {}).filter(([, error]) => concern(error));
  return new Map(ours.map(([id, error]) => [id, error.errors.map(sentence).join("\n")]));
}

export function sayRefusals(refusals, graph) {
  if (app.ui.settings.getSettingValue(HOST_SAYS)) return;
  for (const [id, text] of refusals) {
    const type = graph[id]?.class_type;
    toast("error", word("refused")(LiteGraph.registered_node_types[type]?.title ?? type), text);
  }
}
