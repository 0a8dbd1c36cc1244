# Rscript effect_stacked.R: writes effect_stacked.json beside it (Debian: r-base, r-cran-jsonlite)
# Effects on cohort.csv with errors by M-estimation, from the definition (Stefanski & Boos 2002, Am Stat 56:29): the estimating
# functions of all models and of both means, stacked; A their summed derivatives, B the sum of their products; A^-1 B A^-T.
# A is taken by complex steps, f'(x) = Im f(x + ih) / h with h = 1e-30: exact to rounding, no difference is formed
# (Squire & Trapp 1998, SIAM Rev 40:110). Nothing of a sandwich is written down by hand.
library(jsonlite)
rows <- read.csv("cohort.csv")
a <- as.numeric(rows$arm == "b")
X <- cbind(1, scale(as.matrix(rows[c("age", "dose", "smoker")]))) # the means do not depend on the columns' scale
tight <- glm.control(epsilon = 1e-15, maxit = 100)
inverse_logit <- function(x) 1 / (1 + exp(-x))
everyone <- list(seq_len(nrow(rows)))
sites <- unname(split(seq_len(nrow(rows)), rows$site))

fitted_models <- function(groups) unlist(lapply(groups, function(here) coef(glm.fit(X[here, ], a[here], family = binomial(), control = tight))))
scores <- function(theta, groups) { # estimating functions of the propensity models, and the propensities
  e <- complex(nrow(X)); psi <- matrix(0i, nrow(X), length(theta))
  for (k in seq_along(groups)) {
    own <- (k - 1) * ncol(X) + seq_len(ncol(X)); here <- groups[[k]]
    e[here] <- inverse_logit(drop(X[here, ] %*% theta[own]))
    psi[here, own] <- (a[here] - e[here]) * X[here, ]
  }
  list(e = e, psi = psi)
}
sandwich <- function(psi, theta) { # psi: theta -> (n, k), 0 in sum at theta
  h <- 1e-30
  A <- sapply(seq_along(theta), function(j) Im(colSums(psi(theta + replace(numeric(length(theta)), j, h) * 1i))) / h)
  at <- Re(psi(theta + 0i))
  stopifnot(max(abs(colSums(at))) < 1e-7)
  bread <- solve(A)
  bread %*% crossprod(at) %*% t(bread)
}
told <- function(mean, V, binary) { # terms by the delta method
  terms <- list("mean[1]" = c(mean[1], sqrt(V[1, 1])), "mean[0]" = c(mean[2], sqrt(V[2, 2])))
  by <- function(value, g) c(value, sqrt(drop(g %*% V %*% g)))
  terms[["difference"]] <- by(mean[1] - mean[2], c(1, -1))
  if (binary) {
    terms[["log ratio"]] <- by(log(mean[1] / mean[2]), c(1, -1) / mean)
    terms[["log odds ratio"]] <- by(qlogis(mean[1]) - qlogis(mean[2]), c(1, -1) / (mean * (1 - mean)))
  }
  terms
}
last <- function(V) V[nrow(V) - 1:0, nrow(V) - 1:0]

weights_of <- function(e, estimand) switch(estimand,
  ATE = list(a / e, (1 - a) / (1 - e)), ATT = list(a + 0 * e, (1 - a) * e / (1 - e)), ATO = list(a * (1 - e), (1 - a) * e))
iptw <- function(y, estimand, groups, binary) {
  alpha <- fitted_models(groups)
  w <- lapply(weights_of(Re(scores(alpha + 0i, groups)$e), estimand), Re)
  mean <- sapply(w, function(v) sum(v * y) / sum(v))
  psi <- function(theta) {
    models <- scores(theta[seq_along(alpha)], groups); v <- weights_of(models$e, estimand); mu <- tail(theta, 2)
    cbind(models$psi, v[[1]] * (y - mu[1]), v[[2]] * (y - mu[2]))
  }
  held <- function(mu) cbind(w[[1]] * (y - mu[1]), w[[2]] * (y - mu[2])) + 0i
  list(stacked = told(mean, last(sandwich(psi, c(alpha, mean))), binary), known = told(mean, sandwich(held, mean), binary))
}
outcome_models <- function(y, binary) lapply(c(1, 0), function(arm)
  coef(glm.fit(X[a == arm, ], y[a == arm], family = if (binary) binomial() else gaussian(), control = tight)))
modelled <- function(y, groups, binary, augment, estimand = "ATE") { # g-computation, or with `augment` AIPW
  among <- if (estimand == "ATT") a else rep(1, length(a)) # whose mean outcomes are wanted
  link <- if (binary) inverse_logit else identity
  alpha <- if (augment) fitted_models(groups) else numeric(0)
  beta <- outcome_models(y, binary)
  at <- cumsum(c(length(alpha), ncol(X), ncol(X)))
  values <- function(theta) {
    m <- lapply(1:2, function(k) link(drop(X %*% theta[at[k] + seq_len(ncol(X))])))
    inside <- list(a, 1 - a)
    score <- do.call(cbind, lapply(1:2, function(k) inside[[k]] * (y - m[[k]]) * X))
    if (!augment) return(list(v = lapply(m, function(v) among * v), psi = score))
    models <- scores(theta[seq_along(alpha)], groups); w <- weights_of(models$e, estimand)
    list(v = lapply(1:2, function(k) among * m[[k]] + w[[k]] * (y - m[[k]])), psi = cbind(models$psi, score))
  }
  start <- c(alpha, unlist(beta))
  v <- lapply(values(start + 0i)$v, Re)
  mean <- sapply(v, sum) / sum(among)
  psi <- function(theta) { found <- values(head(theta, -2)); mu <- tail(theta, 2); cbind(found$psi, found$v[[1]] - among * mu[1], found$v[[2]] - among * mu[2]) }
  held <- function(mu) cbind(v[[1]] - among * mu[1], v[[2]] - among * mu[2]) + 0i
  found <- list(stacked = told(mean, last(sandwich(psi, c(start, mean))), binary))
  if (augment) found$known <- told(mean, sandwich(held, mean), binary)
  found
}
both <- function(answer) list(bp = answer(rows$bp, FALSE), ill = answer(rows$ill, TRUE))
write(toJSON(list(
  software = list(R = R.version.string),
  "iptw ATE common" = both(function(y, binary) iptw(y, "ATE", everyone, binary)), "iptw ATE site" = both(function(y, binary) iptw(y, "ATE", sites, binary)),
  "iptw ATT common" = both(function(y, binary) iptw(y, "ATT", everyone, binary)), "iptw ATT site" = both(function(y, binary) iptw(y, "ATT", sites, binary)),
  "iptw ATO common" = both(function(y, binary) iptw(y, "ATO", everyone, binary)), "iptw ATO site" = both(function(y, binary) iptw(y, "ATO", sites, binary)),
  "aipw ATE common" = both(function(y, binary) modelled(y, everyone, binary, TRUE)), "aipw ATE site" = both(function(y, binary) modelled(y, sites, binary, TRUE)),
  "aipw ATT common" = both(function(y, binary) modelled(y, everyone, binary, TRUE, "ATT")), "aipw ATT site" = both(function(y, binary) modelled(y, sites, binary, TRUE, "ATT")),
  "gcomputation ATE common" = both(function(y, binary) modelled(y, everyone, binary, FALSE)),
  "gcomputation ATT common" = both(function(y, binary) modelled(y, everyone, binary, FALSE, "ATT"))
), digits = 17, auto_unbox = TRUE), "effect_stacked.json")
