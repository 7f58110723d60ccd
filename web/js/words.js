// What the pack's own widgets and messages say, in the languages of locales/.
import { app } from "../../../scripts/app.js";

const WORDS = {
  en: {
    report: "What it did is shown here after a run.",
    chosen: "Recipe and cover of the chosen edit are shown here.",
    stale: "From earlier settings; run again.",
    more: "more settings",
    fewer: "fewer settings",
    reading: (of, done) => `Reading ${of} short prompts, once for this text encoder: ${done}`,
    statistics: (of, done) => `Reading ${of} captions and words, once for this text encoder: ${done}`,
    values: (of, done) => `Finding what ${of} names have to mean: ${done}`,
    rounds: (of, done) => `Drawing and judging pictures, at most ${of} rounds: ${done}`,
    left: (seconds) => (seconds < 100 ? `About ${seconds} s left.` : `About ${Math.round(seconds / 60)} min left.`),
    drawn: "Drawn in the latest run:",
    refused: (name) => `${name} is not run`,
    "no lora": (name) => `“${name}” is an edit, no LoRA: it changes nothing here`,
    "load edit": "Load it with Load Edit and Apply Edit, or make a LoRA of it with Save Edit as LoRA.",
  },
  zh: {
    report: "运行后，此处显示它做了什么。",
    chosen: "此处显示所选编辑的配方与封面。",
    stale: "以下是之前设置的结果；请重新运行。",
    more: "更多设置",
    fewer: "更少设置",
    reading: (of, done) => `正在读取 ${of} 条短提示词，每个文本编码器只需一次：${done}`,
    statistics: (of, done) => `正在读取 ${of} 条描述和单词，每个文本编码器只需一次：${done}`,
    values: (of, done) => `正在求 ${of} 个名称应有的含义：${done}`,
    rounds: (of, done) => `正在生成并判断图片，最多 ${of} 轮：${done}`,
    left: (seconds) => (seconds < 100 ? `约剩 ${seconds} 秒。` : `约剩 ${Math.round(seconds / 60)} 分钟。`),
    drawn: "最近一次运行抽到：",
    refused: (name) => `“${name}”没有运行`,
    "no lora": (name) => `“${name}”是编辑，不是 LoRA：在这里不起作用`,
    "load edit": "请用“载入编辑”和“应用编辑”，或用“编辑存为 LoRA”把它变成 LoRA。",
  },
};

export function word(name) {
  return (WORDS[app.ui.settings.getSettingValue("Comfy.Locale")] ?? WORDS.en)[name];
}
