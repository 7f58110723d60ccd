// What the pack's own widgets say, in the languages of locales/.
import { app } from "../../../scripts/app.js";

const WORDS = {
  en: { report: "What it did is shown here after a run.", chosen: "Recipe and cover of the chosen edit are shown here.", more: "more settings", fewer: "fewer settings" },
  zh: { report: "运行后，此处显示它做了什么。", chosen: "此处显示所选编辑的配方与封面。", more: "更多设置", fewer: "更少设置" },
};

export function word(name) {
  return (WORDS[app.ui.settings.getSettingValue("Comfy.Locale")] ?? WORDS.en)[name];
}
