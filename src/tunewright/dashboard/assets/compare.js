// Comparison of the setups of a tag: the report of the server, with its tests, ranks and curves.
import {renderReport} from "./sections.js";

export const compareView = {
  title: "Comparison",

  async render(container, context) {
    const page = await context.source.get(`api/compare/${encodeURIComponent(context.route.tag)}`);
    this.title = page.title;
    container.classList.add("stack");
    this.charts = renderReport(container, page);
  },

  update() {},

  dispose() {
    for (const chart of this.charts ?? []) chart.dispose();
  },
};
