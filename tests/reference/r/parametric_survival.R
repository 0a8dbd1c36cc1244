# Rscript parametric_survival.R: writes parametric_survival.json beside it (Debian: r-cran-survival, r-cran-sandwich, r-cran-jsonlite)
library(survival)
library(sandwich)
library(jsonlite)
rows <- read.csv("survival.csv")
rows$ward <- paste(rows$site, rows$id %% 9)
rows$one <- 1
control <- survreg.control(rel.tolerance = 1e-15, maxiter = 100)
fitted_ <- function(dist) {
  fit <- survreg(Surv(time, event) ~ x + age + arm, rows, dist = dist, control = control)
  list(estimate = unname(c(coef(fit), if (dist != "exponential") log(fit$scale))), variance = unname(fit$var), loglik = fit$loglik[2], loglik_null = fit$loglik[1], scale = fit$scale)
}
# Case weights, robust and clustered errors; rows that are counted several times. survreg's own robust variance leaves the
# weights out of the residuals that it squares (coxph's does not); without weights the two are the same.
weighted <- function(dist, data, w) {
  ask <- function(...) do.call(survreg, list(Surv(time, event) ~ x + age + arm, data, weights = w, dist = dist, control = control, ...))
  fit <- ask()
  moved <- residuals(fit, "dfbeta", weighted = TRUE)
  if (all(w == 1)) stopifnot(
    all.equal(crossprod(moved), ask(robust = TRUE)$var, check.attributes = FALSE, tolerance = 1e-12),
    all.equal(crossprod(rowsum(moved, data$ward)), ask(cluster = data$ward)$var, check.attributes = FALSE, tolerance = 1e-12)
  )
  list(
    estimate = unname(c(coef(fit), if (dist != "exponential") log(fit$scale))), variance = unname(fit$var), loglik = fit$loglik[2], loglik_null = fit$loglik[1], scale = fit$scale,
    robust = unname(crossprod(moved)), cluster = unname(crossprod(rowsum(moved, data$ward)))
  )
}
whole <- rows[rep(seq_len(nrow(rows)), rows$copies), ]
# survreg knows no left truncation: Newton's method on the likelihood, with the derivatives that R's deriv3 writes.
one <- list(
  exponential = quote(d * ((lt - eta) - lt) - exp(lt - eta) + late * exp(le - eta)),
  weibull = quote(d * ((lt - eta) / exp(ls) - ls - lt) - exp((lt - eta) / exp(ls)) + late * exp((le - eta) / exp(ls))),
  lognormal = quote(d * (-((lt - eta) / exp(ls))^2 / 2 - log(2 * pi) / 2 - ls - lt) + (1 - d) * log(pnorm(-(lt - eta) / exp(ls))) - late * log(pnorm(-(le - eta) / exp(ls))))
)
truncated <- function(dist, X, w = rows$one) {
  free <- if (dist == "exponential") "eta" else c("eta", "ls")
  at <- with(rows, list(d = event, lt = log(time), late = as.numeric(entry > 0), le = ifelse(entry > 0, log(pmax(entry, 1e-9)), 0)))
  value <- deriv3(one[[dist]], free)
  start <- survreg(Surv(time, event) ~ X - 1, rows, dist = dist)
  theta <- c(coef(start), if (dist != "exponential") log(start$scale))
  p <- ncol(X)
  for (i in 1:60) {
    v <- eval(value, c(at, list(eta = drop(X %*% theta[1:p]), ls = if (dist == "exponential") 0 else theta[p + 1])))
    U <- if (dist == "exponential") X else cbind(X, 1)
    g <- attr(v, "gradient"); h <- attr(v, "hessian"); k <- c(rep(1, p), if (dist != "exponential") 2)
    gradient <- sapply(seq_along(k), function(j) sum(w * U[, j] * g[, k[j]]))
    hessian <- sapply(seq_along(k), function(j) sapply(seq_along(k), function(l) sum(w * U[, j] * U[, l] * h[, k[j], k[l]])))
    theta <- theta - solve(hessian, gradient)
  }
  v <- eval(value, c(at, list(eta = drop(X %*% theta[1:p]), ls = if (dist == "exponential") 0 else theta[p + 1])))
  scores <- w * U * attr(v, "gradient")[, k]
  inverse <- solve(-hessian)
  middle <- function(u) unname(inverse %*% crossprod(u) %*% inverse)
  list(estimate = unname(theta), variance = unname(inverse), robust = middle(scores), cluster = middle(rowsum(scores, rows$ward)), loglik = sum(w * v), scale = if (dist == "exponential") 1 else unname(exp(theta[p + 1])))
}
late <- function(dist, w = rows$one) {
  X <- model.matrix(~ x + age + arm, rows)
  c(truncated(dist, X, w), list(loglik_null = truncated(dist, X[, 1, drop = FALSE], w)$loglik))
}
cuts <- c(10, 20, 35)
pieces <- function(formula, data = rows, w = data$one) {
  data$w <- w
  data$person <- seq_len(nrow(data))
  split <- survSplit(formula, data, cut = cuts, episode = "k")
  split$risk <- split$time - split$entry
  tight <- glm.control(epsilon = 1e-15, maxit = 100)
  null <- glm(event ~ 0 + factor(k) + offset(log(risk)), poisson, split, weights = w, control = tight)
  fit <- glm(event ~ 0 + factor(k) + x + age + arm + offset(log(risk)), poisson, split, weights = w, control = tight)
  loglik <- function(fit) with(split, sum(w * (event * (log(fitted(fit)) - log(risk)) - fitted(fit))))
  order <- c(5:7, 1:4)
  X <- model.matrix(fit)
  variance <- solve(crossprod(X * sqrt(split$w * fitted(fit)))) # vcov has the weights before the last step
  scores <- split$w * (split$event - fitted(fit)) * X
  middle <- function(by) unname((variance %*% crossprod(rowsum(scores, by)) %*% variance)[order, order])
  package <- vcovCL(fit, cluster = split$person, type = "HC0", cadjust = FALSE)[order, order]
  stopifnot(isTRUE(all.equal(unname(package), middle(split$person), tolerance = 1e-6)))
  list(
    estimate = unname(coef(fit)[order]), variance = unname(variance[order, order]), loglik = loglik(fit), loglik_null = loglik(null),
    robust = middle(split$person), cluster = middle(split$ward)
  )
}
told <- function(w) list(
  exponential = weighted("exponential", rows, w), weibull = weighted("weibull", rows, w), lognormal = weighted("lognormal", rows, w),
  late_exponential = late("exponential", w), late_weibull = late("weibull", w), late_lognormal = late("lognormal", w),
  late_piecewise = pieces(Surv(entry, time, event) ~ ., rows, w)
)
found <- list(
  software = list(R = R.version.string, survival = as.character(packageVersion("survival")), sandwich = as.character(packageVersion("sandwich"))),
  exponential = fitted_("exponential"), weibull = fitted_("weibull"), lognormal = fitted_("lognormal"),
  late_exponential = late("exponential"), late_weibull = late("weibull"), late_lognormal = late("lognormal"),
  late_piecewise = pieces(Surv(entry, time, event) ~ .),
  plain = told(rows$one), weighted = told(rows$w),
  frequency = list(
    exponential = weighted("exponential", whole, whole$one), weibull = weighted("weibull", whole, whole$one),
    lognormal = weighted("lognormal", whole, whole$one), late_piecewise = pieces(Surv(entry, time, event) ~ ., whole)
  )
)
rows$entry <- 0
found$piecewise <- pieces(Surv(entry, time, event) ~ .)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "parametric_survival.json")
