// Follows the runs that this page queues: reports go to the nodes that they were made by, refusals are said.
import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { sayWhatIsNoLora } from "./loras.js";
import { refusalsOf, sayRefusals } from "./refusals.js";
import { keep } from "./kept.js";
import { addDrawn, hasReport, place, refresh, setReport, showDoing, withDrawn } from "./report.js";
import { word } from "./words.js";

const WAIT = 150; // milliseconds after a change
const queued = new Map(); // ids of runs to what their nodes were queued with
const asked = []; // the same of runs whose ids are not known yet

function* within(graph, path = "") {
  for (const node of graph?._nodes ?? []) {
    yield [`${path}${node.id}`, node];
    if (node.subgraph) yield* within(node.subgraph, `${path}${node.id}:`);
  }
}

function reporting() {
  return [...within(app.rootGraph ?? app.graph)].filter(([, node]) => hasReport(node));
}

export function refreshAll() {
  refresh(reporting().map(([, node]) => node));
}

function placesNow() {
  const known = new Map();
  return new Map(reporting().map(([path, node]) => [path, { node, place: place(node, known) }]));
}

function placesOf(run) {
  return queued.get(run) ?? asked[0] ?? placesNow();
}

function report(places, path, text, { lasting }) {
  const { node, place } = places.get(String(path)) ?? {};
  if (!node) return;
  keep(place, lasting ? text : "");
  setReport(node, place, text);
}

function executed({ detail }) {
  const text = detail.output?.text?.join("\n");
  if (!text) return;
  const [places, path] = [placesOf(detail.prompt_id), detail.display_node ?? detail.node];
  report(places, path, withDrawn(places.get(String(path))?.node, text), { lasting: true });
  refreshAll();
}

let begun = {}; // the work that is being done, as far as it was when it was first heard of

function secondsLeft({ node, what, done, of }) {
  if (begun.node !== node || begun.what !== what || begun.done > done) begun = { node, what, done, at: Date.now() };
  return done > begun.done ? Math.ceil(((of - done) * (Date.now() - begun.at)) / (done - begun.done) / 1000) : 0;
}

function doing({ detail }) {
  const [{ node: id, what, done, of }, left] = [detail, secondsLeft(detail)];
  const node = reporting().find(([path]) => path === String(id))?.[1];
  if (!node) return;
  const text = word(what)(of.toLocaleString("en"), done.toLocaleString("en"));
  showDoing(node, left ? `${text}\n${word("left")(left)}` : text);
}

let drawing = {}; // the run whose draws are shown, and the node

// What pictures draw by chance stands beneath the report of the node that put the edit on; the latest run's alone.
function drawn({ detail: { node: id, run, lines } }) {
  const node = reporting().find(([path]) => path === String(id))?.[1];
  if (!node) return;
  const goesOn = drawing.run === run && drawing.node === node;
  drawing = { run, node };
  const shown = addDrawn(node, lines, goesOn);
  if (shown) keep(shown.place, shown.text);
  refreshAll();
}

function failed({ detail }) {
  report(placesOf(detail.prompt_id), detail.node_id, detail.exception_message.trim(), { lasting: false });
}

function ended({ detail }) {
  begun = {};
  queued.delete(detail.prompt_id);
  refreshAll();
}

function refused(errors, graph, places) {
  const refusals = refusalsOf(errors, graph);
  for (const [id, text] of refusals) report(places, id, text, { lasting: false });
  refreshAll();
  return refusals;
}

function followQueue() {
  const { queuePrompt } = api;
  api.queuePrompt = async function (number, { output: graph }) {
    const places = placesNow();
    asked.push(places);
    try {
      const answer = await queuePrompt.apply(this, arguments);
      queued.set(answer.prompt_id, places);
      sayRefusals(refused(answer.node_errors, graph, places), graph);
      sayWhatIsNoLora(graph);
      return answer;
    } catch (error) {
      refused(error.response?.node_errors, graph, places); // the host says it itself
      throw error;
    } finally {
      asked.splice(asked.indexOf(places), 1);
    }
  };
}

export function followRuns() {
  followQueue();
  api.addEventListener("executed", executed);
  api.addEventListener("edit_assumption.doing", doing);
  api.addEventListener("edit_assumption.drawn", drawn);
  api.addEventListener("execution_error", failed);
  for (const end of ["execution_success", "execution_error", "execution_interrupted"]) api.addEventListener(end, ended);
  let timer;
  const changed = () => {
    clearTimeout(timer);
    timer = setTimeout(refreshAll, WAIT);
  };
  api.addEventListener("graphChanged", changed);
  document.addEventListener("input", changed, true);
  document.addEventListener("change", changed, true);
}
