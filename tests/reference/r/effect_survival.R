# Rscript effect_survival.R: writes effect_survival.json beside it (Debian: r-cran-survival, r-cran-jsonlite)
# Weighted survival by propensity scores on survival.csv: survfit and coxph with weights and robust = TRUE, and the same
# stacked on the propensity model: each row's influence times its weight, plus what its score in that model moves. Influences
# on curves are those of the product of 1 - dN/Y, written out; `check` compares them with survfit's.
library(survival)
library(jsonlite)
rows <- read.csv("survival.csv")
rows$w <- NULL # so that `w` below is the weights made here
a <- as.numeric(rows$arm == "treated")
tight <- glm.control(epsilon = 1e-15, maxit = 100)
at <- c(20, 60); tau <- 70

block <- function(here) { # a propensity model over some rows: fitted, columns, inverse information
  fit <- glm(a[here] ~ age + x, binomial, rows[here, ], control = tight)
  X <- model.matrix(fit); e <- fitted(fit)
  list(e = e, X = X, inverse = solve(t(X) %*% (e * (1 - e) * X)), coef = unname(coef(fit)))
}
answer <- function(estimand, groups) {
  n <- nrow(rows); e <- numeric(n); blocks <- lapply(groups, block)
  for (k in seq_along(groups)) e[groups[[k]]] <- blocks[[k]]$e
  w <- switch(estimand, ATE = a / e + (1 - a) / (1 - e), ATT = a + (1 - a) * e / (1 - e), ATO = a * (1 - e) + (1 - a) * e)
  slope <- switch(estimand, ATE = -a * (1 - e) / e + (1 - a) * e / (1 - e), ATT = (1 - a) * e / (1 - e), ATO = e * (1 - e) * (1 - 2 * a))
  stacked <- function(influence) {
    psi <- w * influence
    for (k in seq_along(groups)) {
      here <- groups[[k]]; b <- blocks[[k]]
      bend <- colSums(slope[here] * influence[here] * b$X)
      psi[here] <- psi[here] + (a[here] - e[here]) * (b$X %*% b$inverse %*% bend)
    }
    c(known = sqrt(sum((w * influence)^2)), stacked = sqrt(sum(psi^2)))
  }
  cox <- coxph(Surv(time, event) ~ a, rows, weights = w, robust = TRUE, ties = "efron", control = coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50))
  hr <- stacked(resid(cox, "dfbeta") / w)
  stopifnot(abs(hr["known"] - sqrt(cox$var[1, 1])) < 1e-9)
  arms <- lapply(c(1, 0), function(arm) {
    inside <- a == arm
    fit <- survfit(Surv(time, event) ~ 1, rows[inside, ], weights = w[inside], robust = TRUE)
    times <- fit$time; Y <- fit$n.risk; h <- fit$n.event / Y; S <- cumprod(1 - h)
    own <- ifelse(h < 1, 1 / (Y * (1 - h)), 0); spent <- cumsum(h * own)
    influence <- sapply(seq_along(times), function(k) { # of every row on S at step k
      step <- match(rows$time, times); early <- rows$time <= times[k]
      ifelse(inside, S[k] * (ifelse(early, spent[step], spent[k]) - ifelse(early & rows$event == 1, own[step], 0)), 0)
    })
    here <- function(t) max(which(times <= t))
    widths <- diff(c(times[times <= tau], tau))
    mean_influence <- influence[, times <= tau] %*% widths
    known <- sqrt(colSums((w * influence)^2))
    list(time = times, survival = S, std_error = known, lower = fit$lower, upper = fit$upper, check = max(abs(known - fit$std.err)[S > 0]),
      at = lapply(at, function(t) list(survival = S[here(t)], error = stacked(influence[, here(t)]), influence = influence[, here(t)])),
      mean = min(times) + sum(S[times <= tau] * widths), mean_error = stacked(drop(mean_influence)), mean_influence = drop(mean_influence))
  })
  list(
    loghr = unname(coef(cox)), hr_error = as.list(hr),
    curves = lapply(arms, function(x) x[c("time", "survival", "std_error", "lower", "upper", "check")]),
    at = lapply(seq_along(at), function(k) list(
      survival = sapply(arms, function(x) x$at[[k]]$survival), error = lapply(arms, function(x) as.list(x$at[[k]]$error)),
      difference = as.list(stacked(arms[[2]]$at[[k]]$influence - arms[[1]]$at[[k]]$influence)))),
    mean = sapply(arms, `[[`, "mean"), mean_error = lapply(arms, function(x) as.list(x$mean_error)),
    mean_difference = as.list(stacked(arms[[1]]$mean_influence - arms[[2]]$mean_influence)),
    ess = c(sum(w[a == 1])^2 / sum(w[a == 1]^2), sum(w[a == 0])^2 / sum(w[a == 0]^2)), propensity = if (length(groups) == 1) blocks[[1]]$coef
  )
}
# With sites as strata: each site's baseline is its own, the hazard ratio is common
within <- function(estimand, groups, site = rows$site) {
  n <- nrow(rows); e <- numeric(n); blocks <- lapply(groups, block)
  for (k in seq_along(groups)) e[groups[[k]]] <- blocks[[k]]$e
  w <- switch(estimand, ATE = a / e + (1 - a) / (1 - e), ATT = a + (1 - a) * e / (1 - e), ATO = a * (1 - e) + (1 - a) * e)
  weigh <- function(e) switch(estimand, ATE = a / e + (1 - a) / (1 - e), ATT = a + (1 - a) * e / (1 - e), ATO = a * (1 - e) + (1 - a) * e)
  cox <- coxph(Surv(time, event) ~ a + strata(site), cbind(rows[c("time", "event")], a = a, site = site), weights = w, robust = TRUE, ties = "efron", control = coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50))
  # The stacked estimating equations of (propensity coefficients, log hazard ratio), a row of each by row: the score of the
  # weighted partial likelihood by its residuals (`score`), all of them functions of the coefficients through the weights.
  z <- lapply(blocks, `[[`, "X"); sizes <- sapply(z, ncol); ends <- cumsum(sizes)
  at <- function(theta) {
    e <- numeric(n); scores <- matrix(0, n, length(theta))
    for (k in seq_along(groups)) {
      own <- (ends[k] - sizes[k] + 1):ends[k]; here <- groups[[k]]
      e[here] <- plogis(drop(z[[k]] %*% theta[own]))
      scores[here, own] <- (a[here] - e[here]) * z[[k]]
    }
    list(w = weigh(e), scores = scores)
  }
  score <- function(theta) { # summed score of the log ratio, Efron's ties with the mean weight of the tied
    w <- at(theta)$w; beta <- theta[length(theta)]; total <- 0
    for (s in unique(site)) for (t in unique(rows$time[site == s & rows$event == 1])) {
      risk <- site == s & rows$time >= t; died <- site == s & rows$time == t & rows$event == 1
      r <- w * exp(beta * a); d <- sum(died)
      for (l in seq_len(d) - 1) {
        share <- ifelse(died, 1 - l / d, 1) * r * risk
        total <- total - mean(w[died]) * sum(share * a) / sum(share)
      }
      total <- total + sum(w[died] * a[died])
    }
    total
  }
  theta <- c(unlist(lapply(blocks, `[[`, "coef")), coef(cox))
  # Derivatives by the propensity coefficients: central differences, extrapolated twice (Richardson)
  slope <- function(j) {
    d <- function(h) { step <- replace(numeric(length(theta)), j, h); (score(theta + step) - score(theta - step)) / (2 * h) }
    h <- 1e-3 / max(1, sd(c(do.call(rbind, z)[, 1 + (j - 1) %% sizes[1]])))
    one <- (4 * d(h / 2) - d(h)) / 3; two <- (4 * d(h / 4) - d(h / 2)) / 3
    (16 * two - one) / 15
  }
  bends <- sapply(seq_len(length(theta) - 1), slope)
  information <- -slope(length(theta))
  u <- at(theta)$scores[, -length(theta), drop = FALSE]
  inverse <- matrix(0, ncol(u), ncol(u))
  for (k in seq_along(groups)) { own <- (ends[k] - sizes[k] + 1):ends[k]; inverse[own, own] <- blocks[[k]]$inverse }
  psi <- resid(cox, "score", weighted = TRUE) + drop(u %*% inverse %*% bends)
  analytic <- 1 / cox$naive.var[1, 1]
  list(loghr = unname(coef(cox)), known = sqrt(cox$var[1, 1]), stacked = sqrt(sum(psi^2)) / analytic, check = abs(information / analytic - 1))
}
whole <- list(seq_len(nrow(rows)))
sites <- unname(split(seq_len(nrow(rows)), rows$site))
write(toJSON(list(
  software = list(R = R.version.string, survival = as.character(packageVersion("survival"))),
  ATE = answer("ATE", whole), ATT = answer("ATT", whole), ATO = answer("ATO", whole), site = answer("ATE", sites),
  strata = list(ATE = within("ATE", whole), ATT = within("ATT", whole), ATO = within("ATO", whole), site = within("ATE", sites), siteATT = within("ATT", sites), siteATO = within("ATO", sites),
    lacking = within("ATE", whole, ifelse(rows$x > 0.5 & a == 0, 3, ifelse(rows$x < -0.5 & rows$event == 0, 4, rows$site)))) # a site without treated, one without events
), digits = 17, auto_unbox = TRUE), "effect_survival.json")
