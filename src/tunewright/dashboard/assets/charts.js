// ECharts in the look of the page: one class for all charts, colours from the style sheet, no animation.
import {h} from "./dom.js";
import {formatDuration, formatNumber} from "./format.js";

/** Okabe and Ito's colours, as in the figures of `plot`; black is left out because it is no colour of a dark page. */
export const PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F"];
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
  constructor(container, {label, height = 320, build, onclick, onready}) {
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
      this.sizes = new ResizeObserver(() => this.instance.resize({animation: {duration: 0}}));
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
    axisLabel: {color: soft, hideOverlap: true, ...(type === "category" ? {} : {formatter: value => formatNumber(value, 4)}), ...axisLabel},
    ...rest,
  };
}

/** A time axis up to some seconds, with whole minutes and hours as marks. */
export function timeAxis(name, end, extra = {}) {
  const interval = TIME_STEPS.find(step => end / step <= 8);
  return axis("value", name, {
    min: 0,
    scale: false,
    ...(interval && end > 8 ? {interval} : {minInterval: 1}),
    axisLabel: {formatter: formatDuration},
    ...extra,
  });
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

/** A legend above the plot, which scrolls if it is long. */
export function legend(extra = {}) {
  const ink = themeColour("ink");
  return {
    type: "scroll",
    top: 0,
    left: 0,
    itemWidth: 16,
    itemHeight: 8,
    textStyle: {color: ink},
    pageTextStyle: {color: ink},
    pageIconColor: themeColour("link"),
    ...extra,
  };
}

/** Kind of axis for a hyperparameter. */
export function axisType(dimension) {
  if (dimension.type === "choice" || dimension.type === "ordinal") return "category";
  return dimension.log ? "log" : "value";
}

/** Whether the page is dark at present. */
export function isDarkPage() {
  return getComputedStyle(document.documentElement).colorScheme === "dark";
}

/** Colours from the worst to the best value; the best has the strongest contrast to the page. */
export function worstToBest() {
  return isDarkPage() ? SCALE.slice(1) : SCALE.slice(0, -1).reverse();
}

/** At most `most` rows: the first half of it, and an even sample of the others. */
export function sampledRows(rows, most) {
  if (rows.length <= most) return rows;
  const first = Math.floor(most / 2),
    step = (rows.length - first) / (most - first);
  return [...rows.slice(0, first), ...Array.from({length: most - first}, (_, i) => rows[Math.floor(first + i * step)])];
}
