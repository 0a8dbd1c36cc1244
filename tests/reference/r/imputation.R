# Rscript imputation.R: writes imputation.json beside it (Debian: r-cran-mice, r-cran-mitml, r-cran-survival, r-cran-sandwich,
# r-cran-nnet, r-cran-jsonlite). `exact`: Rubin's rules (mice::pool) and D1 (mitml) over fits to the data sets that Isthmus
# completed (completed.csv, by ../imputed_rows.py). `mice`: mice's own imputation of holes.csv, and the analysis of it.
suppressMessages({library(mice); library(mitml); library(survival); library(sandwich); library(nnet); library(jsonlite)})
holes <- read.csv("holes.csv")
holes$stage <- factor(holes$stage)
made <- read.csv("completed.csv")
completed <- function(question, chain) {
  rows <- holes
  own <- made[made$question == question & made$chain == chain, ]
  rows$stage[own$row + 1] <- own$stage
  rows$pressure[own$row + 1] <- own$pressure
  rows
}
pooled <- function(Q, U, df) {  # matrices (m, p) and lists of covariances
  p <- ncol(Q)
  parts <- lapply(seq_len(p), function(j) pool.scalar(Q[, j], sapply(U, function(u) u[j, j]), n = df + 1, k = 1))
  m <- nrow(Q)
  B <- cov(Q)
  list(estimate = colMeans(Q), std_error = sapply(parts, function(x) sqrt(x$t)), df = sapply(parts, function(x) x$df),
    riv = sapply(parts, function(x) x$r), fmi = sapply(parts, function(x) x$fmi),
    vcov = Reduce(`+`, U) / m + (1 + 1 / m) * B)
}
d1 <- function(Q, U, at, df) {  # mitml:::.D1's arguments
  out <- mitml:::.D1(t(Q[, at]), simplify2array(lapply(U, function(u) u[at, at])), df.com = df)
  list(statistic = as.numeric(out$F), df = out$k, df_residual = as.numeric(out$v), riv = as.numeric(out$r))
}
contrast <- function(Q, U, l, df) {
  found <- pool.scalar(Q %*% l, sapply(U, function(u) as.numeric(t(l) %*% u %*% l)), n = df + 1, k = 1)
  list(estimate = found$qbar, std_error = as.numeric(sqrt(found$t)), df = found$df)
}
tight <- list(epsilon = 1e-14, maxit = 100)
answer <- function(question, fit) {
  fits <- lapply(0:3, function(chain) fit(completed(question, chain)))
  list(Q = do.call(rbind, lapply(fits, `[[`, "q")), U = lapply(fits, `[[`, "u"))
}
logistic <- function(rows) {
  f <- suppressWarnings(glm(died ~ age + stage + pressure + offset(exposure), quasibinomial, rows, weights = rows$weight, control = tight))
  list(q = coef(f), u = vcovCL(f, rows$practice, type = "HC0", cadjust = FALSE))
}
levels3 <- function(rows) {
  f <- multinom(stage ~ age + pressure, rows, reltol = 1e-15, abstol = 1e-14, maxit = 1000, trace = FALSE, Hess = TRUE)
  x <- model.matrix(~ age + pressure, rows)
  beta <- coef(f)
  for (k in 1:5) {  # Newton steps: nnet stops early
    eta <- cbind(0, x %*% t(beta)); chance <- exp(eta) / rowSums(exp(eta))
    y <- outer(as.integer(rows$stage), 1:3, `==`) * 1
    score <- c(t(x) %*% (y - chance)[, 2:3])
    w <- function(j, k) chance[, j] * ((j == k) - chance[, k])
    info <- rbind(cbind(t(x) %*% (x * w(2, 2)), t(x) %*% (x * w(2, 3))), cbind(t(x) %*% (x * w(3, 2)), t(x) %*% (x * w(3, 3))))
    beta <- beta + matrix(solve(info, score), 2, byrow = TRUE)
  }
  list(q = c(t(beta)), u = solve(info))
}
hazards <- function(rows) {
  f <- coxph(Surv(time, event) ~ age + stage + pressure, rows, control = coxph.control(eps = 1e-14, toler.inf = 1e-7, toler.chol = 1e-15, iter.max = 100))
  list(q = coef(f), u = vcov(f))
}
weibull <- function(rows) {
  f <- survreg(Surv(time, event) ~ age + stage + pressure, rows, control = survreg.control(rel.tolerance = 1e-14, maxiter = 100))
  list(q = c(coef(f), log(f$scale)), u = vcov(f))
}
n <- nrow(holes)
one <- answer("glm", logistic); two <- answer("multinomial", levels3); three <- answer("cox", hazards); four <- answer("weibull", weibull)
l <- c(0, 0, -1, 1, 0)
exact <- list(
  glm = c(pooled(one$Q, one$U, n - 5), list(contrast = contrast(one$Q, one$U, l, n - 5), test = d1(one$Q, one$U, 3:4, n - 5))),
  multinomial = pooled(two$Q, two$U, n - 6),
  cox = c(pooled(three$Q, three$U, n - 4), list(test = d1(three$Q, three$U, 2:3, n - 4))),
  weibull = c(pooled(four$Q, four$U, n - 6), list(contrast = contrast(four$Q, four$U, c(l, 0), n - 6)))
)
# mice's own: the same variables in its models (of a time: event and Nelson-Aalen), 200 data sets
own <- function(rows, fit) {
  made <- mice(rows, m = 200, maxit = 10, seed = 1, printFlag = FALSE, method = ifelse(names(rows) == "stage", "polyreg", ifelse(names(rows) == "pressure", "norm", "")))
  fits <- lapply(seq_len(200), function(i) fit(complete(made, i)))
  Q <- do.call(rbind, lapply(fits, `[[`, "q"))
  list(estimate = colMeans(Q), between = apply(Q, 2, var), std_error = sqrt(diag(pooled(Q, lapply(fits, `[[`, "u"), n - 5)$vcov)))
}
plain <- function(rows) {
  f <- glm(died ~ age + stage + pressure, binomial, rows, control = tight)
  list(q = coef(f), u = vcov(f))
}
first <- own(holes[c("died", "age", "stage", "pressure")], plain)
timed <- holes[c("age", "stage", "pressure", "event", "time")]
timed$hazard <- nelsonaalen(timed, time, event)
keep <- timed$time
second <- own(timed[c("age", "stage", "pressure", "event", "hazard")], function(rows) { rows$time <- keep; hazards(rows) })
software <- lapply(c("mice", "mitml", "survival", "sandwich", "nnet"), function(p) as.character(packageVersion(p)))
names(software) <- c("mice", "mitml", "survival", "sandwich", "nnet")
write(toJSON(list(software = c(R = R.version.string, software), exact = exact, mice = list(glm = first, cox = second)), digits = 17, auto_unbox = TRUE), "imputation.json")
