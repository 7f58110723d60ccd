// Reports that the browser keeps, the latest ones, so that they are there again when a workflow or the page is opened anew.
const NAME = "EditAssumption.reports";
const COUNT = 300;

function all() {
  try {
    const reports = JSON.parse(localStorage.getItem(NAME));
    return Array.isArray(reports) ? reports : [];
  } catch {
    return []; // the browser keeps nothing, or somebody else wrote there
  }
}

// Without a text, what was kept there is forgotten.
export function keep(place, text) {
  const others = all().filter(([other]) => other !== place);
  try {
    localStorage.setItem(NAME, JSON.stringify([...others, ...(text ? [[place, text]] : [])].slice(-COUNT)));
  } catch (error) {
    console.warn("Edit Assumption: the report is shown until the page is closed.", error);
  }
}

// Places to texts.
export function kept() {
  return new Map(all());
}
