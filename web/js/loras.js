// Says which of a graph's LoRA files are edits: the host loads nothing from them, and says so in its log alone.
import { api } from "../../../scripts/api.js";
import { toast } from "./toast.js";
import { word } from "./words.js";

// Names of files in inputs that are called a LoRA, also in the rows of nodes that take several.
function* namedIn(inputs, isLora = false) {
  for (const [name, value] of Object.entries(inputs ?? {})) {
    const here = isLora || /lora/i.test(name);
    if (typeof value === "string" && here && value.endsWith(".safetensors")) yield value;
    else if (value && typeof value === "object" && !Array.isArray(value)) yield* namedIn(value, here);
  }
}

// `graph` is what was queued: node ids to types and inputs.
export async function sayWhatIsNoLora(graph) {
  const names = [...new Set(Object.values(graph).flatMap(({ inputs }) => [...namedIn(inputs)]))];
  if (!names.length) return;
  const answer = await api.fetchApi("/edit_assumption/edits_among_loras", { method: "POST", body: JSON.stringify(names) });
  if (!answer.ok) return;
  for (const name of await answer.json()) toast("warn", word("no lora")(name), word("load edit"));
}
