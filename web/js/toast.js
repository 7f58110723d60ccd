// A message in the corner of the page, until it is closed.
import { app } from "../../../scripts/app.js";

export function toast(severity, summary, detail) {
  app.extensionManager.toast.add({ severity, summary, detail, closable: true });
}
