// Says what the host refuses while it runs another output of the graph; it marks the node then, and says nothing.
import { word } from "./words.js";
import { toast } from "./toast.js";

function isOurs(type) {
  return type?.startsWith("EditAssumption");
}

function sentence({ message, details }) {
  return details && !message.includes(details) ? `${message}: ${details}` : message;
}

// `errors` are the answer's node_errors, `graph` what was queued.
export function sayRefusals(errors, graph) {
  for (const { class_type: type, errors: own, dependent_outputs: outputs } of Object.values(errors ?? {})) {
    if (!isOurs(type) && !outputs?.some((id) => isOurs(graph[id]?.class_type))) continue;
    const name = LiteGraph.registered_node_types[type]?.title ?? type;
    toast("error", word("refused")(name), own.map(sentence).join("\n"));
  }
}
