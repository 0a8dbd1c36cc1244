# Rscript effect_cap.R: writes effect_cap.json beside it (Debian: r-cran-survival, r-cran-jsonlite)
# Effects on cohort.csv with weights cut at a cap, min(w, cap), or at percentiles, with errors by M-estimation as in
# effect_stacked.R: a weight at a cut does not move with the propensity model. Hazard ratios with known weights by coxph.
# "truncated": type 7 percentiles (ATT: of the control's weights), the weights on the grid of log odds nearest to them (in
# people below) that Isthmus cuts at, as odds in 128ths, and the answers at both.
library(survival)
library(jsonlite)
rows <- read.csv("cohort.csv")
a <- as.numeric(rows$arm == "b")
X <- cbind(1, scale(as.matrix(rows[c("age", "dose", "smoker")])))
tight <- glm.control(epsilon = 1e-15, maxit = 100)
inverse_logit <- function(x) 1 / (1 + exp(-x))
everyone <- list(seq_len(nrow(rows)))
sites <- unname(split(seq_len(nrow(rows)), rows$site))
fitted_models <- function(groups) unlist(lapply(groups, function(here) coef(glm.fit(X[here, ], a[here], family = binomial(), control = tight))))
scores <- function(theta, groups) {
  e <- complex(nrow(X)); psi <- matrix(0i, nrow(X), length(theta))
  for (k in seq_along(groups)) {
    own <- (k - 1) * ncol(X) + seq_len(ncol(X)); here <- groups[[k]]
    e[here] <- inverse_logit(drop(X[here, ] %*% theta[own]))
    psi[here, own] <- (a[here] - e[here]) * X[here, ]
  }
  list(e = e, psi = psi)
}
sandwich <- function(psi, theta) {
  h <- 1e-30
  A <- sapply(seq_along(theta), function(j) Im(colSums(psi(theta + replace(numeric(length(theta)), j, h) * 1i))) / h)
  at <- Re(psi(theta + 0i))
  stopifnot(max(abs(colSums(at))) < 1e-7)
  bread <- solve(A)
  bread %*% crossprod(at) %*% t(bread)
}
told <- function(mean, V) {
  by <- function(value, g) c(value, sqrt(drop(g %*% V %*% g)))
  list("mean[1]" = by(mean[1], c(1, 0)), "mean[0]" = by(mean[2], c(0, 1)), "difference" = by(mean[1] - mean[2], c(1, -1)))
}
last <- function(V) V[nrow(V) - 1:0, nrow(V) - 1:0]
cut_at <- function(w, cap) { cap <- if (length(cap) > 1) cap else c(0, cap); ifelse(Re(w) > cap[2], cap[2] + 0i, ifelse(Re(w) < cap[1], cap[1] + 0i, w)) }
weights_of <- function(e, estimand, cap) switch(estimand,
  ATE = list(a * cut_at(1 / e, cap), (1 - a) * cut_at(1 / (1 - e), cap)), ATT = list(a + 0 * e, (1 - a) * cut_at(e / (1 - e), cap)))
iptw <- function(y, estimand, groups, cap) {
  alpha <- fitted_models(groups)
  w <- lapply(weights_of(scores(alpha + 0i, groups)$e, estimand, cap), Re)
  mean <- sapply(w, function(v) sum(v * y) / sum(v))
  psi <- function(theta) {
    models <- scores(theta[seq_along(alpha)], groups); v <- weights_of(models$e, estimand, cap); mu <- tail(theta, 2)
    cbind(models$psi, v[[1]] * (y - mu[1]), v[[2]] * (y - mu[2]))
  }
  held <- function(mu) cbind(w[[1]] * (y - mu[1]), w[[2]] * (y - mu[2])) + 0i
  list(stacked = told(mean, last(sandwich(psi, c(alpha, mean)))), known = told(mean, sandwich(held, mean)), above = sum(unlist(w) == cap))
}
aipw <- function(y, groups, cap) {
  alpha <- fitted_models(groups)
  beta <- lapply(c(1, 0), function(arm) coef(glm.fit(X[a == arm, ], y[a == arm], family = gaussian(), control = tight)))
  at <- cumsum(c(length(alpha), ncol(X), ncol(X)))
  values <- function(theta) {
    m <- lapply(1:2, function(k) drop(X %*% theta[at[k] + seq_len(ncol(X))])); inside <- list(a, 1 - a)
    score <- do.call(cbind, lapply(1:2, function(k) inside[[k]] * (y - m[[k]]) * X))
    models <- scores(theta[seq_along(alpha)], groups); w <- weights_of(models$e, "ATE", cap)
    list(v = lapply(1:2, function(k) m[[k]] + w[[k]] * (y - m[[k]])), psi = cbind(models$psi, score))
  }
  start <- c(alpha, unlist(beta))
  mean <- sapply(lapply(values(start + 0i)$v, Re), base::mean)
  psi <- function(theta) { found <- values(head(theta, -2)); mu <- tail(theta, 2); cbind(found$psi, found$v[[1]] - mu[1], found$v[[2]] - mu[2]) }
  list(stacked = told(mean, last(sandwich(psi, c(start, mean)))))
}
hazard <- function(cap, strata) {
  rows$w_ <- Reduce(`+`, lapply(weights_of(scores(fitted_models(everyone) + 0i, everyone)$e, "ATE", cap), Re))
  rows$a <- a
  f <- if (strata) Surv(days, died) ~ a + strata(site) else Surv(days, died) ~ a
  fit <- coxph(f, rows, weights = w_, robust = TRUE, control = coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100))
  list(estimate = unname(coef(fit)), std_error = sqrt(fit$var[1, 1]))
}
truncated <- function(estimand, groups, probs, odds, ask) {
  v <- Reduce(`+`, lapply(weights_of(scores(fitted_models(groups) + 0i, groups)$e, estimand, c(-Inf, Inf)), Re))
  percentiles <- unname(quantile(if (estimand == "ATT") v[a == 0] else v, probs))
  percentiles[probs == 0] <- 0; percentiles[probs == 1] <- Inf
  cuts <- ifelse(probs == 0, 0, ifelse(probs == 1, Inf, (estimand == "ATE") + exp(odds / 128)))
  list(probs = probs, percentiles = percentiles[probs > 0 & probs < 1], cuts = cuts[probs > 0 & probs < 1], at_percentiles = ask(percentiles), at_cuts = ask(cuts))
}
found <- list(
  software = list(R = R.version.string, survival = as.character(packageVersion("survival"))),
  "ATE common" = iptw(rows$bp, "ATE", everyone, 2), "ATE site" = iptw(rows$bp, "ATE", sites, 2),
  "ATT common" = iptw(rows$bp, "ATT", everyone, 1.1), "ATT site" = iptw(rows$bp, "ATT", sites, 1.1),
  "aipw common" = aipw(rows$bp, everyone, 2), "aipw site" = aipw(rows$bp, sites, 2),
  "hazard one" = hazard(2, FALSE), "hazard site" = hazard(2, TRUE),
  truncated = list(
    "ATE common" = truncated("ATE", everyone, c(0.05, 0.95), c(-150, 98), function(cut) iptw(rows$bp, "ATE", everyone, cut)),
    "ATE site" = truncated("ATE", sites, c(0.01, 0.99), c(-288, 190), function(cut) iptw(rows$bp, "ATE", sites, cut)),
    "ATT common" = truncated("ATT", everyone, c(0, 0.9), c(0, 72), function(cut) iptw(rows$bp, "ATT", everyone, cut)),
    "aipw common" = truncated("ATE", everyone, c(0.01, 0.99), c(-206, 146), function(cut) aipw(rows$bp, everyone, cut)),
    "hazard one" = truncated("ATE", everyone, c(0.05, 0.95), c(-150, 98), function(cut) hazard(cut, FALSE)),
    "hazard site" = truncated("ATE", everyone, c(0.05, 0.95), c(-150, 98), function(cut) hazard(cut, TRUE))
  )
)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "effect_cap.json")
