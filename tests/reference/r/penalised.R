# Rscript penalised.R: writes penalised.json beside it (Debian: r-cran-glmnet, r-cran-survival, r-cran-jsonlite)
library(glmnet)
library(jsonlite)
library(survival)
glmnet.control(mnlam = 1, fdev = 0, devmax = 1, epsnr = 1e-14, mxitnr = 200)
rows <- read.csv("cohort.csv")
X <- model.matrix(~ age + dose + arm + sex + smoker + years + w, rows)[, -1]
y <- list(gaussian = rows$bp, binomial = rows$ill, poisson = rows$visits)
found <- list()
for (family in names(y)) for (alpha in c(1, 0.4, 0)) {
  lambda <- if (family == "gaussian") c(2, 0.6, 0.2, 0.02) else c(0.1, 0.03, 0.01, 0.001)
  fit <- glmnet(X, y[[family]], family, alpha = alpha, lambda = lambda, thresh = 1e-20, maxit = 1e7)
  found[[paste(family, alpha)]] <- list(
    lambda = lambda, coefficients = unname(t(as.matrix(coef(fit)))), df = fit$df, dev_ratio = fit$dev.ratio, null = fit$nulldev
  )
}
# Columns that follow from others, and a constant one: ridge and the elastic net have one answer
D <- cbind(X[, c("age", "dose", "years")], twice = 2 * rows$age + 1, both = rows$dose + rows$years, flat = 4.1)
for (family in names(y)) for (alpha in c(0.4, 0)) {
  lambda <- if (family == "gaussian") c(2, 0.2) else c(0.1, 0.01)
  fit <- glmnet(D, y[[family]], family, alpha = alpha, lambda = lambda, thresh = 1e-30, maxit = 1e9)
  found[[paste("dependent", family, alpha)]] <- list(lambda = lambda, coefficients = unname(t(as.matrix(coef(fit)))))
}
# Cox: survival.csv, one baseline and sites as strata, with and without late entries
glmnet.control(epsnr = 1e-16, mxitnr = 20000) # its descent takes a diagonal information
survived <- read.csv("survival.csv")
S <- model.matrix(~ x + age + arm, survived)[, -1]
left <- list(plain = with(survived, Surv(time, event)), late = with(survived, Surv(entry, time, event)))
for (l in names(left)) for (alpha in c(1, 0.4, 0)) for (strata in c("one", "site")) {
  y <- if (strata == "site") stratifySurv(left[[l]], survived$site) else left[[l]]
  lambda <- c(0.1, 0.03, 0.01, 0.001)
  fit <- glmnet(S, y, "cox", alpha = alpha, lambda = lambda, thresh = 1e-20, maxit = 1e7)
  found[[paste("cox", l, alpha, strata)]] <- list(lambda = lambda, coefficients = unname(t(as.matrix(coef(fit)))), df = fit$df, dev_ratio = fit$dev.ratio, null = fit$nulldev)
}
D <- cbind(S[, c("x", "age")], again = 2 * survived$x + 1, both = survived$x + survived$age, flat = 4.1)
for (alpha in c(0.4, 0)) for (strata in c("one", "site")) {
  y <- if (strata == "site") stratifySurv(left$plain, survived$site) else left$plain
  fit <- glmnet(D, y, "cox", alpha = alpha, lambda = c(0.1, 0.01), thresh = 1e-30, maxit = 1e9)
  found[[paste("dependent cox", alpha, strata)]] <- list(lambda = c(0.1, 0.01), coefficients = unname(t(as.matrix(coef(fit)))))
}
sd_ <- function(x) sqrt(mean((x - mean(x))^2))
found$largest <- max(abs(colMeans(scale(X, scale = apply(X, 2, sd_)) * (rows$ill - mean(rows$ill))))) # where glmnet begins a path
found$software <- list(R = R.version.string, glmnet = as.character(packageVersion("glmnet")))
write(toJSON(found, digits = 17, auto_unbox = TRUE), "penalised.json")
