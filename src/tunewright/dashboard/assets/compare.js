// Reports: the comparison of the setups of a tag, and the report of one experiment; the server prepares their texts and tables.
import {emptyNote, h} from "./dom.js";
import {renderReport} from "./sections.js";
import {experimentAddress} from "./list.js";

/** A view of a report; `path(context)` is its address. */
function viewOfReport(title, path) {
  return {
    title,

    async render(container, context) {
      this.context = context;
      if (context.store && !context.store.hasResults) {
        container.append(emptyNote(context.store.nothingYet("No result yet. The report appears with the first values that trials report.")));
        return;
      }
      this.content = h("div", {class: "stack"});
      this.again = h("button", {type: "button", class: "again", onclick: () => this.readAgain()}, "Make again");
      this.again.hidden = context.source.isFrozen || (context.store && !context.store.isRunning);
      container.append(this.again, this.content);
      await this.read();
    },

    async read() {
      const {context} = this;
      this.again.disabled = true;
      try {
        const page = await context.source.get(path(context));
        if (this.isDisposed) return;
        if (page.error) {
          this.content.replaceChildren(emptyNote(page.error));
          return;
        }
        this.title = page.title;
        for (const chart of this.charts ?? []) chart.dispose();
        this.content.replaceChildren();
        this.charts = renderReport(this.content, page, context.name ? view => experimentAddress(context.tag, context.name, view) : null);
      } finally {
        this.again.disabled = false;
      }
    },

    async readAgain() {
      try {
        await this.read();
      } catch (error) {
        this.content.replaceChildren(emptyNote(error.message));
        if (error.status === undefined) throw error;
      }
    },

    update() {},

    dispose() {
      this.isDisposed = true;
      for (const chart of this.charts ?? []) chart.dispose();
    },
  };
}

export const compareView = viewOfReport("Comparison", context => `api/compare/${encodeURIComponent(context.route.tag)}`);
export const reportView = viewOfReport("Report", context => `${context.path}/report`);
