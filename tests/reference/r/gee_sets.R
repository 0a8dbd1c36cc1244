# Rscript gee_sets.R: writes gee_sets.json beside it (Debian: r-cran-geepack, r-cran-survival, r-cran-mass, r-cran-nlme,
# r-cran-lme4, r-cran-jsonlite). Published data of these packages and made ones, with geepack's answers.
# geeglm stops at its tolerance, so its answer is the start of more of the same steps here, as in gee.R.
suppressMessages({
  library(geepack); library(survival); library(MASS); library(nlme); library(lme4); library(jsonlite)
})
rows_of <- function(outcome, id, ...) data.frame(y = as.numeric(outcome), id = as.integer(factor(id)), ...)
made <- function(seed, groups, most, spread, family) {
  set.seed(seed)
  id <- rep(seq_len(groups), sample.int(most, groups, replace = TRUE))
  a <- round(rnorm(length(id)), 2); b <- as.numeric(rnorm(groups)[id] > 0)
  eta <- 0.4 * a - 0.5 * b + spread * rnorm(groups)[id]
  y <- switch(family, poisson = rpois(length(id), exp(eta)), binomial = rbinom(length(id), 1, plogis(eta)),
    gaussian = round(eta + rnorm(length(id)), 3))
  rows_of(y, id, a = a, b = b)
}
utils::data(cgd, package = "survival", envir = environment())
data(respiratory, ohio, package = "geepack"); data(epil, bacteria, package = "MASS")
data(cbpp, sleepstudy, package = "lme4")
rats <- with(cbpp, data.frame(y = rep(rep(1:0, nrow(cbpp)), c(rbind(incidence, size - incidence))),
  herd = rep(herd, size), period = rep(as.integer(period), size)))
sets <- list(
  cgd = list("poisson", with(cgd, rows_of(status, id, a = as.numeric(treat == "rIFN-g"), b = age))),
  `cgd treatment` = list("poisson", with(cgd, rows_of(status, id, a = as.numeric(treat == "rIFN-g"), b = as.numeric(sex == "male")))),
  `cgd binomial` = list("binomial", with(cgd, rows_of(status, id, a = as.numeric(treat == "rIFN-g"), b = age))),
  epil = list("poisson", with(epil, rows_of(y, subject, a = as.numeric(trt == "progabide"), b = log(base / 4)))),
  bacteria = list("binomial", with(bacteria, rows_of(y == "y", ID, a = as.numeric(ap == "a"), b = week))),
  respiratory = list("binomial", with(respiratory, rows_of(outcome, paste(center, id), a = as.numeric(treat == "A"), b = baseline))),
  ohio = list("binomial", with(ohio, rows_of(resp, id, a = age, b = smoke))),
  cbpp = list("binomial", with(rats, rows_of(y, herd, a = as.numeric(period == 2), b = as.numeric(period > 2)))),
  orthodont = list("gaussian", with(Orthodont, rows_of(distance, Subject, a = age, b = as.numeric(Sex == "Male")))),
  sleepstudy = list("gaussian", with(sleepstudy, rows_of(Reaction, Subject, a = Days, b = as.numeric(Days > 4)))),
  chicks = list("gaussian", with(as.data.frame(ChickWeight), rows_of(weight, as.character(Chick), a = Time, b = as.numeric(Diet == "3")))),
  `made poisson` = list("poisson", made(1, 40, 8, 1, "poisson")),
  `made counts` = list("poisson", made(4, 60, 6, 0.8, "poisson")),
  `made binomial` = list("binomial", made(3, 60, 5, 1, "binomial")),
  `made few` = list("binomial", made(4, 12, 9, 0.5, "binomial")),
  `made gaussian` = list("gaussian", made(5, 30, 7, 1.5, "gaussian"))
)
answer <- function(rows, family, corstr) {
  rows <- rows[order(rows$id), ]
  kind <- get(family)()
  fit <- geeglm(y ~ a + b, family = kind, data = rows, id = id, corstr = corstr, control = geese.control(epsilon = 1e-12, maxit = 100))
  X <- model.matrix(y ~ a + b, rows); y <- rows$y
  at <- split(seq_len(nrow(X)), rows$id)
  beta <- coef(fit); alpha <- 0
  for (k in 1:400) {
    mu <- kind$linkinv(as.vector(X %*% beta)); v <- kind$variance(mu)
    e <- (y - mu) / sqrt(v); phi <- mean(e^2)
    if (corstr == "exchangeable") {
      pairs <- sapply(at, function(i) (sum(e[i])^2 - sum(e[i]^2)) / 2)
      alpha <- sum(pairs) / phi / sum(choose(lengths(at), 2))
    }
    S <- matrix(0, 3, 3); M <- S; u <- 0
    for (i in at) {
      R <- matrix(alpha, length(i), length(i)); diag(R) <- 1
      D <- sqrt(v[i]) * X[i, , drop = FALSE]
      own <- as.vector(t(D) %*% solve(R, e[i]))
      S <- S + t(D) %*% solve(R, D); M <- M + own %o% own; u <- u + own
    }
    step <- solve(S, u); beta <- beta + step
    if (max(abs(step)) < 1e-15) break
  }
  s <- summary(fit)
  list(
    estimate = as.vector(beta), std_error = unname(sqrt(diag(solve(S) %*% M %*% solve(S)))), alpha = alpha, scale = phi,
    package = list(estimate = unname(coef(fit)), alpha = if (corstr == "exchangeable") fit$geese$alpha[[1]] else 0)
  )
}
found <- lapply(sets, function(set) {
  list(
    family = set[[1]], rows = as.list(set[[2]]),
    exchangeable = answer(set[[2]], set[[1]], "exchangeable"), independence = answer(set[[2]], set[[1]], "independence")
  )
})
found$cgd$known <- log(cgd$tstop - cgd$tstart)  # an offset with which the moments have no solution
found <- c(list(software = list(R = R.version.string, geepack = as.character(packageVersion("geepack")))), found)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "gee_sets.json")
