// Sends the token once, in the body of a request, and goes to the page with the cookie that comes back.
// A link may bring it behind "#token=": browsers send nothing behind "#" to a server.
const form = document.querySelector("form");
const field = document.querySelector("#token");
const wrong = document.querySelector("#wrong");

async function logIn(token) {
  wrong.textContent = "";
  try {
    const answer = await fetch("login", { method: "POST", body: token });
    if (answer.ok) location.replace("./");
    else wrong.textContent = "That is not the token.";
  } catch {
    wrong.textContent = "The cameras cannot be reached.";
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  logIn(field.value.trim());
});
function logInByLink() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return;
  history.replaceState(null, "", location.pathname);
  logIn(given);
}

addEventListener("hashchange", logInByLink); // a link that is opened while this page is shown
logInByLink();
