// ECharts in the look of the page: one class for all charts, colours from the style sheet, no animation.
import {h, redraw, svg} from "./dom.js";
import {formatBrief, formatDuration, formatTick, shortened} from "./format.js";

/** Okabe and Ito's colours, as in the figures of `plot`; black is left out because it is no colour of a dark page. */
export const PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F"];
export const DASHES = ["solid", "dashed", "dotted"];
export const MARKERS = ["circle", "rect", "triangle", "diamond", "pin", "arrow", "roundRect"];
/** From few to many: viridis, which stays ordered for colour-blind readers and in grey. */
export const SCALE = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"];
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000];
const STATUS_COLOURS = {completed: "#009E73", paused: "#56B4E9", stopped: "#E69F00", failed: "#D55E00", running: "#7F7F7F"};

/** Colour of a status. */
export function statusColour(status) {
  return STATUS_COLOURS[status] ?? "#7F7F7F";
}

/** A colour of the style sheet, such as "ink". */
export function themeColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

let chartLibrary = null;

/** Load ECharts once, at the first chart; a frozen page has it inside. */
export function loadCharts() {
  chartLibrary ??= window.echarts
    ? Promise.resolve()
    : new Promise((resolve, reject) => {
        document.head.append(
          h("script", {src: "assets/vendor/echarts.min.js", onload: resolve, onerror: () => reject(new Error("ECharts did not load"))}),
        );
      });
  return chartLibrary;
}

/** A chart in a container; `build()` returns the option of ECharts for the present data. */
export class Chart {
  constructor(container, {label, height = 320, build, onclick, onready, onresize}) {
    this.build = build;
    this.element = h("div", {class: `chart h${height}`, role: "img", "aria-label": label});
    container.append(this.element);
    this.instance = null;
    this.isDisposed = false;
    this.onscheme = () => this.draw();
    document.addEventListener("scheme", this.onscheme);
    loadCharts().then(() => {
      if (this.isDisposed) return;
      const renderer = new URLSearchParams(location.search).get("renderer") === "svg" ? "svg" : "canvas";
      this.instance = window.echarts.init(this.element, null, {renderer});
      if (onclick) this.instance.on("click", onclick);
      onready?.(this.instance);
      this.sizes = new ResizeObserver(() => {
        this.instance.resize({animation: {duration: 0}});
        onresize?.();
      });
      this.sizes.observe(this.element);
      this.draw();
    });
  }

  draw() {
    const option = this.instance && this.build();
    if (!option) return;
    const ink = themeColour("ink"),
      {fontFamily} = getComputedStyle(document.body),
      base = {
        animation: false,
        color: PALETTE,
        backgroundColor: "transparent",
        textStyle: {fontFamily, color: ink, fontSize: 12},
      };
    this.instance.setOption(
      {...base, ...option},
      {replaceMerge: ["series", "xAxis", "yAxis", "grid", "parallelAxis", "visualMap"].filter(part => option[part])},
    );
    for (const table of this.element.closest(".card")?.querySelectorAll("details.values[open]") ?? []) table.dispatchEvent(new Event("drawn"));
  }

  /** Give the chart a height in pixels. */
  setHeight(height) {
    if (this.element.style.height !== `${height}px`) this.element.style.height = `${height}px`;
  }

  /** Width of the chart in pixels. */
  get width() {
    return this.element.clientWidth;
  }

  dispose() {
    this.isDisposed = true;
    document.removeEventListener("scheme", this.onscheme);
    this.sizes?.disconnect();
    this.instance?.dispose();
    this.element.remove();
  }
}

/** An axis with a name, the page's colours and numbers; `type` is "value", "log", "category" or "time". */
export function axis(type, name, extra = {}) {
  const soft = themeColour("soft"),
    line = themeColour("line");
  const {axisLabel, ...rest} = extra;
  return {
    type,
    name,
    nameLocation: "middle",
    nameGap: 30,
    nameTextStyle: {color: soft},
    scale: true,
    axisLine: {lineStyle: {color: line}},
    axisTick: {show: false},
    splitLine: {show: type !== "category", lineStyle: {color: line, opacity: 0.7}},
    axisLabel: {color: soft, hideOverlap: true, ...(type === "category" ? {} : {formatter: formatTick}), ...axisLabel},
    ...rest,
  };
}

/** A vertical axis: its name stands above it, so that the plot keeps its width. */
export function upAxis(type, name, extra = {}) {
  return axis(type, shortened(name, 44), {
    nameLocation: extra.inverse ? "start" : "end",
    nameTruncate: {maxWidth: isNarrowPage() ? document.documentElement.clientWidth - 140 : 320},
    nameGap: 10,
    nameTextStyle: {color: themeColour("soft"), align: "left"},
    ...extra,
  });
}

/** Seconds between the marks of a time axis over some seconds: whole minutes, hours or days. */
function timeStep(span) {
  return TIME_STEPS.find(step => span / step <= 8) ?? 86400 * Math.ceil(span / 8 / 86400);
}

/** A time axis up to some seconds. */
export function timeAxis(name, end, extra = {}) {
  const begin = extra.min ?? 0;
  return axis("value", name, {
    min: 0,
    max: end || 1,
    scale: false,
    ...timeMarks(begin, end || 1),
    ...extra,
  });
}

/** Marks and labels of a time axis at whole steps between two times. */
export function timeMarks(begin, end) {
  if (end - begin < 3) return {axisTick: {show: false, customValues: null}, axisLabel: {formatter: formatBrief, customValues: null}};
  const step = timeStep(end - begin),
    first = Math.ceil(begin / step),
    customValues = Array.from({length: Math.floor(end / step) - first + 1}, (_, i) => (first + i) * step);
  return {axisTick: {show: false, customValues}, axisLabel: {formatter: formatDuration, customValues}};
}

/** An axis of whole numbers, such as the resource; one value alone has room at both sides. */
export function countAxis(name, values) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity),
    high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return axis("value", name, {minInterval: 1, ...(low < high ? {min: low, max: high} : {min: low - 1, max: high + 1})});
}

/** Margins of a plot; room for labels and names is added. */
export function plotGrid(extra = {}) {
  return {left: 4, right: 20, top: 12, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all", ...extra};
}

/** The box beside the pointer; plain text, drawn on the canvas. */
export function tooltip(formatter, extra = {}) {
  return {
    renderMode: "richText",
    confine: true,
    backgroundColor: themeColour("card"),
    borderColor: themeColour("line"),
    borderWidth: 1,
    textStyle: {color: themeColour("ink"), fontSize: 12},
    formatter,
    ...extra,
  };
}

const KEY_DASHES = {solid: "none", dashed: "5 3", dotted: "1.5 2.5"};

/**
 * The legend above a chart: a line of elements that breaks where the page is narrow. An entry is `{name, colour, dash, isPoint, href}`;
 * entries without a link are buttons that hide and show their series, which needs `legend: hiddenLegend(entries)` in the option.
 */
export function drawLegend(element, entries, chart) {
  redraw(element, entries, () =>
    entries.map(entry => {
      const swatch = svg("svg", {width: 20, height: 10, "aria-hidden": "true"}, [
        entry.isPoint
          ? svg("circle", {cx: 10, cy: 5, r: 4, fill: entry.colour})
          : svg("line", {x1: 0, x2: 20, y1: 5, y2: 5, stroke: entry.colour, "stroke-width": 3, "stroke-dasharray": KEY_DASHES[entry.dash ?? "solid"]}),
      ]);
      if (entry.href) return h("li", {}, h("a", {href: entry.href}, swatch, entry.name));
      const button = h(
        "button",
        {
          type: "button",
          "aria-pressed": "true",
          title: "Hide or show",
          onclick: () => {
            const isShown = button.getAttribute("aria-pressed") !== "true";
            button.setAttribute("aria-pressed", String(isShown));
            chart().instance?.dispatchAction({type: isShown ? "legendSelect" : "legendUnSelect", name: entry.name});
          },
        },
        swatch,
        entry.name,
      );
      return h("li", {}, button);
    }),
  );
}

/** The part of ECharts that hides and shows series, without its drawing. */
export function hiddenLegend(entries) {
  return {show: false, data: entries.map(({name}) => name)};
}

/** Kind of axis for a hyperparameter. */
export function axisType(dimension) {
  if (dimension.type === "choice" || dimension.type === "ordinal") return "category";
  return dimension.log ? "log" : "value";
}

/** Whether the page is as narrow as a phone at present. */
export function isNarrowPage() {
  return document.documentElement.clientWidth < 600;
}

/** Whether the page is dark at present. */
export function isDarkPage() {
  return getComputedStyle(document.documentElement).colorScheme === "dark";
}

/** Colours from the worst to the best value; the best has the strongest contrast to the page. */
export function worstToBest() {
  return isDarkPage() ? SCALE.slice(2) : SCALE.slice(0, -2).reverse();
}

/** At most `most` rows: the first half of it, and an even sample of the others. */
export function sampledRows(rows, most) {
  if (rows.length <= most) return rows;
  const first = Math.floor(most / 2),
    step = (rows.length - first) / (most - first);
  return [...rows.slice(0, first), ...Array.from({length: most - first}, (_, i) => rows[Math.floor(first + i * step)])];
}
