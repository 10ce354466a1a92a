"use strict";
// Times in the browser's zone, without this script in UTC; and the end of a run.
(() => {
  const day = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hour12: false };
  const language = document.documentElement.lang || undefined;
  const format = new Intl.DateTimeFormat(language === "en" ? "sv-SE" : language, day);
  const show = (root) => {
    for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      element.title = element.textContent;
      element.textContent = format.format(moment);
      element.dataset.local = "";
    }
  };
  // The end of the run that this page watches: the whole page has changed, not only its numbers.
  document.addEventListener("finished", () => location.reload(), true);
  // htmx pauses a stream when its tab is hidden, but not in a tab that was opened in the background.
  document.addEventListener("htmx:sse:after:message", () => {
    if (document.hidden) document.dispatchEvent(new Event("visibilitychange"));
  });
  show(document);
  document.addEventListener("htmx:after:swap", () => show(document));
})();
