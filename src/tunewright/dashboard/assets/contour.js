// Contour: an estimated surface of the metric over two hyperparameters, with the trials on it.
import {h, card, choice, emptyNote, foldedTable} from "./dom.js";
import {formatNumber, formatValue, shortened, toNumber} from "./format.js";
import {Chart, SCALE, axis, isDarkPage, isNarrowPage, plotGrid, themeColour, tooltip, upAxis} from "./charts.js";
import {experimentAddress} from "./list.js";

const CONTOUR_LEVELS = 12,
  LEAST_TRIALS = 5;

export const contourView = {
  title: "Contour",

  render(container, context) {
    this.context = context;
    this.store = context.store;
    const names = this.store.tuned().map(({name}) => name),
      {query} = context.route;
    this.axes = {
      x: names.includes(query.x) ? query.x : names[0],
      y: names.includes(query.y) ? query.y : names.find(name => name !== (query.x ?? names[0])),
    };
    this.empty = emptyNote("Estimating\u2026");
    this.frame = h("div", {});
    this.text = h("p", {class: "small"});
    this.again = h("button", {type: "button", onclick: () => this.read()}, "Estimate again");
    this.again.hidden = context.source.isFrozen;
    if (names.length < 2) {
      container.append(
        card("Contour", null, emptyNote("A contour needs two hyperparameters; this experiment tunes one. Slices shows it.")),
      );
      return;
    }
    const change = key => value => {
      this.axes[key] = value;
      context.setQuery(this.axes);
      this.read();
    };
    const options = names.map(name => [name, shortened(name, 40)]);
    const holder = card(
      `Contour of ${shortened(this.store.metric.name, 60)}`,
      [choice("Horizontal", options, this.axes.x, change("x")), choice("Vertical", options, this.axes.y, change("y")), this.again],
      this.frame,
      this.text,
      this.empty,
    );
    container.append(holder);
    this.chart = new Chart(this.frame, {
      label: "Contour of two hyperparameters",
      height: 520,
      build: () => this.document && this.option(this.document),
      onclick: event => {
        if (event.seriesId === "trials") location.hash = experimentAddress(context.tag, context.name, `trials/${event.value[3]}`);
      },
    });
    holder.append(
      foldedTable(
        () => [this.axes.x, this.axes.y, this.store.metric.name, "trial"],
        () => (this.document?.points ?? []).map(([x, y, value, id]) => [formatValue(x), formatValue(y), formatNumber(value), String(id)]),
      ),
    );
    this.read();
  },

  async read() {
    const turn = (this.turn = {}),
      path = `${this.context.path}/contour?x=${encodeURIComponent(this.axes.x)}&y=${encodeURIComponent(this.axes.y)}`;
    let found;
    try {
      const isKnown = this.axes.x !== this.axes.y && this.store.ranked().length >= LEAST_TRIALS;
      found = isKnown ? await this.context.source.get(path) : {};
    } catch (error) {
      found = {error: error.message};
    }
    if (this.turn !== turn || this.isDisposed) return;
    this.document = found.error || !found.z?.length ? null : found;
    this.frame.hidden = this.text.hidden = !this.document;
    this.empty.hidden = Boolean(this.document);
    this.empty.textContent =
      this.axes.x === this.axes.y
        ? "Choose two different hyperparameters."
        : (found.error ?? this.store.nothingYet(`A contour needs ${LEAST_TRIALS} trials with a value.`));
    this.text.textContent = found.text ?? "";
    this.chart.draw();
  },

  option({x, y, z, points, x_log: isLogX, y_log: isLogY}) {
    const isCategory = values => values.some(value => typeof value !== "number");
    const known = z.flat().map(toNumber).filter(Number.isFinite),
      low = Math.min(...known),
      high = Math.max(...known),
      isLow = this.store.order()(0, 1) < 0;
    // the best has the strongest contrast to the page, as in the other views
    const colours = isLow === isDarkPage() ? [...SCALE].reverse() : SCALE,
      [isAcross, isUp] = [x, y].map(values => !isCategory(values));
    const image = surfaceImage(z, colours, low, high, isAcross, isUp);
    const side = (isNumeric, values) =>
      isNumeric ? {min: values[0], max: values.at(-1), axisLine: {onZero: false}} : {data: values.map(formatValue)};
    const type = (isNumeric, isLog) => (isNumeric ? (isLog ? "log" : "value") : "category");
    const name = text => shortened(text, 48);
    return {
      grid: plotGrid({right: 16, top: 4, bottom: 44}),
      xAxis: axis(type(isAcross, isLogX), name(this.axes.x), {...side(isAcross, x), splitLine: {show: false}}),
      yAxis: upAxis(type(isUp, isLogY), this.axes.y, {...side(isUp, y), splitLine: {show: false}}),
      tooltip: tooltip(point => `trial ${point.value[3]}: ${formatNumber(point.value[2])}`, {trigger: "item"}),
      visualMap: {
        type: "continuous",
        seriesIndex: [],
        min: low,
        max: high > low ? high : low + 1,
        orient: "horizontal",
        left: "center",
        bottom: 0,
        itemWidth: 12,
        itemHeight: isNarrowPage() ? 100 : 180,
        inRange: {color: colours},
        text: [`${formatNumber(high, 4)}${isLow ? "" : " (best)"}`, `${formatNumber(low, 4)}${isLow ? " (best)" : ""}`],
        textStyle: {color: themeColour("soft")},
      },
      series: [
        {
          id: "surface",
          type: "custom",
          silent: true,
          data: [0],
          encode: {x: -1, y: -1},
          renderItem: ({coordSys}) => ({
            type: "image",
            style: {image, x: coordSys.x, y: coordSys.y, width: coordSys.width, height: coordSys.height},
          }),
        },
        {
          id: "trials",
          type: "scatter",
          data: points.map(([px, py, value, id]) => [isAcross ? px : formatValue(px), isUp ? py : formatValue(py), value, id]),
          symbolSize: points.length > 1000 ? 3 : points.length > 400 ? 4 : 7,
          itemStyle: {
            color: "#ffffff",
            borderColor: "#1b2530",
            borderWidth: points.length > 1000 ? 0.5 : 1,
            opacity: points.length > 1000 ? 0.6 : 0.85,
          },
          z: 5,
        },
      ],
    };
  },

  update() {},

  dispose() {
    this.isDisposed = true;
    this.chart?.dispose();
  },
};

/** The surface as an image with levels: interpolated along numeric axes, in blocks along categories. */
function surfaceImage(z, colours, low, high, isAcross, isUp) {
  const width = 320,
    height = 240,
    image = h("canvas", {width, height}),
    pen = image.getContext("2d"),
    pixels = pen.createImageData(width, height);
  const place = (share, n, isNumeric) => (isNumeric ? share * (n - 1) : Math.min(n - 1, Math.floor(share * n)));
  const shades = Array.from({length: CONTOUR_LEVELS}, (_, level) => scaleColour(colours, (level + 0.5) / CONTOUR_LEVELS));
  for (let row = 0; row < height; row++) {
    const v = place(1 - (row + 0.5) / height, z.length, isUp),
      j = Math.floor(v),
      below = z[j],
      above = z[Math.min(z.length - 1, j + 1)];
    for (let column = 0; column < width; column++) {
      const u = place((column + 0.5) / width, below.length, isAcross),
        i = Math.floor(u),
        right = Math.min(below.length - 1, i + 1);
      const [left, far] = [i, right].map(index => toNumber(below[index]) * (1 - v + j) + toNumber(above[index]) * (v - j));
      const value = left * (1 - u + i) + far * (u - i);
      if (Number.isNaN(value)) continue;
      const shade = shades[Math.max(0, Math.min(CONTOUR_LEVELS - 1, Math.floor(((value - low) / (high - low || 1)) * CONTOUR_LEVELS)))];
      pixels.data.set([...shade, 255], 4 * (row * width + column));
    }
  }
  pen.putImageData(pixels, 0, 0);
  return image;
}

/** Red, green and blue of a scale at a share from 0 to 1. */
function scaleColour(colours, share) {
  const place = share * (colours.length - 1),
    index = Math.min(colours.length - 2, Math.floor(place)),
    rest = place - index;
  const parts = colour => [1, 3, 5].map(start => parseInt(colour.slice(start, start + 2), 16));
  const [a, b] = [parts(colours[index]), parts(colours[index + 1])];
  return a.map((value, i) => Math.round(value + (b[i] - value) * rest));
}
