// The scores of Sphinx's search. What the index has, such as an error code, is shown under its own name.
var Scorer = {
  score: (result) => {
    const [, page, anchor, , score, , kind] = result;
    if (kind === "index") {
      result[1] = decodeURIComponent(anchor.slice(1));
      result[3] = page;
    }
    return score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
