# Rscript parametric_survival.R: writes parametric_survival.json beside it (Debian: r-cran-survival, r-cran-jsonlite)
library(survival)
library(jsonlite)
rows <- read.csv("survival.csv")
control <- survreg.control(rel.tolerance = 1e-15, maxiter = 100)
fitted <- function(dist) {
  fit <- survreg(Surv(time, event) ~ x + age + arm, rows, dist = dist, control = control)
  list(estimate = unname(c(coef(fit), if (dist != "exponential") log(fit$scale))), variance = unname(fit$var), loglik = fit$loglik[2], loglik_null = fit$loglik[1], scale = fit$scale)
}
# survreg knows no left truncation: Newton's method on the likelihood, with the derivatives that R's deriv3 writes.
one <- list(
  exponential = quote(d * ((lt - eta) - lt) - exp(lt - eta) + late * exp(le - eta)),
  weibull = quote(d * ((lt - eta) / exp(ls) - ls - lt) - exp((lt - eta) / exp(ls)) + late * exp((le - eta) / exp(ls))),
  lognormal = quote(d * (-((lt - eta) / exp(ls))^2 / 2 - log(2 * pi) / 2 - ls - lt) + (1 - d) * log(pnorm(-(lt - eta) / exp(ls))) - late * log(pnorm(-(le - eta) / exp(ls))))
)
truncated <- function(dist, X) {
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
    gradient <- sapply(seq_along(k), function(j) sum(U[, j] * g[, k[j]]))
    hessian <- sapply(seq_along(k), function(j) sapply(seq_along(k), function(l) sum(U[, j] * U[, l] * h[, k[j], k[l]])))
    theta <- theta - solve(hessian, gradient)
  }
  v <- eval(value, c(at, list(eta = drop(X %*% theta[1:p]), ls = if (dist == "exponential") 0 else theta[p + 1])))
  list(estimate = unname(theta), variance = unname(solve(-hessian)), loglik = sum(v), scale = if (dist == "exponential") 1 else unname(exp(theta[p + 1])))
}
late <- function(dist) {
  X <- model.matrix(~ x + age + arm, rows)
  c(truncated(dist, X), list(loglik_null = truncated(dist, X[, 1, drop = FALSE])$loglik))
}
cuts <- c(10, 20, 35)
pieces <- function(formula) {
  split <- survSplit(formula, rows, cut = cuts, episode = "k")
  split$risk <- split$time - split$entry
  tight <- glm.control(epsilon = 1e-15, maxit = 100)
  null <- glm(event ~ 0 + factor(k) + offset(log(risk)), poisson, split, control = tight)
  told <- sum(log(split$risk[split$event == 1]))
  fit <- glm(event ~ 0 + factor(k) + x + age + arm + offset(log(risk)), poisson, split, control = tight)
  order <- c(5:7, 1:4)
  variance <- solve(crossprod(model.matrix(fit) * sqrt(fitted.values(fit)))) # vcov has the weights before the last step
  list(estimate = unname(coef(fit)[order]), variance = unname(variance[order, order]), loglik = as.numeric(logLik(fit)) - told, loglik_null = as.numeric(logLik(null)) - told)
}
found <- list(software = list(R = R.version.string, survival = as.character(packageVersion("survival"))),
  exponential = fitted("exponential"), weibull = fitted("weibull"), lognormal = fitted("lognormal"),
  late_exponential = late("exponential"), late_weibull = late("weibull"), late_lognormal = late("lognormal"),
  late_piecewise = pieces(Surv(entry, time, event) ~ .), piecewise = { rows$entry <- 0; pieces(Surv(entry, time, event) ~ .) })
write(toJSON(found, digits = 17, auto_unbox = TRUE), "parametric_survival.json")
