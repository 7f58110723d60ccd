// What the host refuses before anything runs. Beside a running output it marks the node, and says nothing.
import { word } from "./words.js";
import { toast } from "./toast.js";

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
  for (const [id, text] of refusals) {
    const type = graph[id]?.class_type;
    toast("error", word("refused")(LiteGraph.registered_node_types[type]?.title ?? type), text);
  }
}
