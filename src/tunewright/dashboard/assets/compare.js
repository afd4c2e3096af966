// Reports: the comparison of the setups of a tag, and the report of one experiment; the server prepares their texts and tables.
import {emptyNote} from "./dom.js";
import {renderReport} from "./sections.js";
import {experimentAddress} from "./list.js";

/** A view of a report; `path(context)` is its address. */
function viewOfReport(title, path) {
  return {
    title,

    async render(container, context) {
      if (context.store && !context.store.hasResults) {
        container.append(emptyNote("No result yet. The report appears with the first values that trials report."));
        return;
      }
      const page = await context.source.get(path(context));
      if (page.error) {
        container.append(emptyNote(page.error));
        return;
      }
      this.title = page.title;
      container.classList.add("stack");
      this.charts = renderReport(container, page, context.name ? view => experimentAddress(context.tag, context.name, view) : null);
    },

    update() {},

    dispose() {
      for (const chart of this.charts ?? []) chart.dispose();
    },
  };
}

export const compareView = viewOfReport("Comparison", context => `api/compare/${encodeURIComponent(context.route.tag)}`);
export const reportView = viewOfReport("Report", context => `${context.path}/report`);
