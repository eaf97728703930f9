"use strict";
const facts = JSON.parse(document.getElementById("data").textContent);
const part = (name) => document.getElementById(name);
const answers = [];
let person = "";
let videos = [];
let shownAt = 0;
let plays = 0;

function show(name) {
  for (const section of document.querySelectorAll("section")) section.hidden = section.id !== name;
}

function begin() {
  person = part("number").value.trim().replace(/^0+/, "");
  videos = Object.hasOwn(facts.plan, person) ? facts.plan[person] : [];
  if (!videos.length) {
    part("wrong").textContent =
      `There is no such number; it is one from 1 to ${Object.keys(facts.plan).length}.`;
    return;
  }
  show("trial");
  next();
}

function next() {
  if (answers.length === videos.length) {
    finish();
    return;
  }
  part("place").textContent = `Video ${answers.length + 1} of ${videos.length}`;
  for (const name of ["real", "modified"]) part(name).disabled = true;
  part("first").hidden = false;
  part("video").src = `media/${videos[answers.length]}`;
  shownAt = performance.now();
  plays = 0;
}

function seen() {
  plays += 1;
  part("first").hidden = true;
  for (const name of ["real", "modified"]) part(name).disabled = false;
}

function answer(word) {
  answers.push({
    study: facts.study,
    participant: person,
    position: answers.length + 1,
    video: videos[answers.length],
    answer: word,
    plays,
    seconds: Math.round((performance.now() - shownAt) / 100) / 10,
  });
  next();
}

function finish() {
  part("video").removeAttribute("src");
  part("video").load();
  const names = Object.keys(answers[0]);
  const lines = [names, ...answers.map((row) => names.map((name) => row[name]))];
  offer("csv", lines.map((line) => line.join(",")).join("\n") + "\n", "text/csv");
  offer("json", JSON.stringify(answers, null, 1) + "\n", "application/json");
  show("end");
}

function offer(kind, text, type) {
  const link = part(kind);
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = `answers-${facts.study}-${person}.${kind}`;
}

part("begin").addEventListener("click", begin);
part("number").addEventListener("keydown", (event) => {
  if (event.key === "Enter") begin();
});
part("video").addEventListener("ended", seen);
part("real").addEventListener("click", () => answer("real"));
part("modified").addEventListener("click", () => answer("modified"));
